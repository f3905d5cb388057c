"""Whatever lies in a version's folder, all other versions are served, and it says why it is not."""

import io
import json
import os
import signal
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifact.card import load_card
from tests.digests import sha256_file
from tests.service.processes import Server, assert_serves, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

LIMIT = 20
"""Seconds that a version may be tried, far more than an honest one takes on a busy machine."""

Spoil = Callable[[Path], object]


# --- graphs -------------------------------------------------------------------------------------


def change_graph(folder: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    """Change a version's graph, and let its card name the digest."""
    file = folder / "model.onnx"
    model = onnx.load_model(file)
    change(model.graph)
    file.write_bytes(model.SerializeToString())
    rewrite_card(folder, sha256=sha256_file(file))


def rewrite_card(folder: Path, **changes: Any) -> None:
    card = load_card(folder / "card.json").model_copy(update=changes)
    (folder / "card.json").write_text(card.model_dump_json())


def add_to_logits(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes behind the logits: they make `extra`, a scalar, which is added to them."""
    for node in graph.node:
        node.output[:] = ["plain" if name == "logits" else name for name in node.output]
    graph.node.extend([*nodes, helper.make_node("Add", ["plain", "extra"], ["logits"])])
    softmax = next(node for node in graph.node if node.op_type == "Softmax")
    softmax.input[0] = "logits"
    ordered = [node for node in graph.node if node is not softmax] + [softmax]
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(kept)


def constant(name: str, value: Any) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value)))


def loop_for_ever(graph: onnx.GraphProto) -> None:
    def scalar(name: str, kind: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [])

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Cos", ["value"], ["next"]),
        ],
        "body",
        [
            scalar("turn", TensorProto.INT64),
            scalar("go", TensorProto.BOOL),
            scalar("value", TensorProto.FLOAT),
        ],
        [scalar("go_on", TensorProto.BOOL), scalar("next", TensorProto.FLOAT)],
    )
    add_to_logits(
        graph,
        [
            constant("many", np.int64(2**62)),
            constant("yes", True),
            # Not a constant, or the loop would run when the graph is opened.
            helper.make_node("ReduceMax", ["plain"], ["first"], keepdims=0),
            helper.make_node("Loop", ["many", "yes", "first"], ["extra"], body=body),
        ],
    )


def take_half_a_gibibyte(graph: onnx.GraphProto) -> None:
    add_to_logits(
        graph,
        [
            constant("wide", np.array([2**13, 2**14], np.int64)),
            helper.make_node("ReduceMax", ["plain"], ["first"], keepdims=0),
            helper.make_node("Expand", ["first", "wide"], ["huge"]),
            helper.make_node("ReduceMean", ["huge"], ["extra"], keepdims=0),
        ],
    )


# --- files --------------------------------------------------------------------------------------


def replace_by(name: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return spoil


def socket_file(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket may be no longer than 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "is a FIFO"),
    "socket": (socket_file, "is a socket"),
    "folder": (Path.mkdir, "is a folder"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "is a device"),
    "a terabyte": (sparse, "is too large"),
    "link to itself": (lambda path: path.symlink_to(path.name), "cannot be read"),
    "link to a file that waits": (lambda path: path.symlink_to("/proc/kmsg"), "has another size"),
}
FILES = ["card.json", "model.onnx", "audit.npz"]


def audit_file(make: Callable[[bytes], bytes]) -> Spoil:
    """Write another audit set, whose digest the card knows."""

    def spoil(folder: Path) -> None:
        file = folder / "audit.npz"
        file.write_bytes(make(file.read_bytes()))
        info = load_card(folder / "card.json").audit_set
        rewrite_card(folder, audit_set=info.model_copy(update={"sha256": sha256_file(file)}))

    return spoil


def archive(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as opened:
        opened.writestr("images.npy", content)
    return file.getvalue()


def npy(shape: tuple[int, ...], data: bytes) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + data


def encrypted(data: bytes) -> bytes:
    return data.replace(b"PK\x03\x04-\x00\x00", b"PK\x03\x04-\x00\x01").replace(
        b"PK\x01\x02-\x03-\x00\x00", b"PK\x01\x02-\x03-\x00\x01"
    )


AUDITS: dict[str, Callable[[bytes], bytes]] = {
    "encrypted": encrypted,
    "damaged": lambda data: data[:900] + bytes([data[900] ^ 1]) + data[901:],
    "cut off": lambda data: data[:-100],
    "promises a terabyte": lambda _: archive(npy((2**20, 1, 2**10, 2**10), b"few")),
    "promises beyond 2^64": lambda _: archive(npy((2**40, 2**40, 8, 8), b"few")),
    "promises less": lambda _: archive(npy((500, 1, 8, 8), bytes(2**20))),
    "bomb": lambda _: archive(npy((500, 1, 8, 8), bytes(2**28)), zipfile.ZIP_DEFLATED),
    "nested header": lambda _: archive(b"\x93NUMPY\x01\x00\x40\x1f" + b"(" * 8000),
}


@pytest.fixture
def root(tmp_path: Path, write_version: Any, turning: bytes, plain: bytes) -> Path:
    """Versions to be spoiled come first in the alphabet, and below honest ones."""
    root = tmp_path / "repository"
    for name, number, graph in (
        ("turning", 1, turning),
        ("turning", 2, turning),
        ("zebra", 1, plain),
    ):
        write_version(root, name, number, graph)
    return root


def index(url: str) -> dict[str, tuple[str, str]]:
    listed = httpx.post(f"{url}/v2/repository/index", timeout=60).json()
    return {f"{each['name']}/{each['version']}": (each["state"], each["reason"]) for each in listed}


def until(url: str, done: Callable[[dict[str, tuple[str, str]]], bool]) -> dict[str, Any]:
    wait_until(lambda: done(index(url)))
    return index(url)


READY, LOADING = ("READY", ""), ("UNAVAILABLE", "loading")
HONEST = {"turning/1": READY, "turning/2": READY, "zebra/1": READY}


def descendants(process: int) -> set[int]:
    """The processes below one, also those whose parent is gone but whose group is known."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()[1:]]
    pairs = [pair for pair in pairs if not decodes(pair[0])]
    found, grown = {process}, True
    while grown:
        more = {pid for pid, parent in pairs if parent in found} - found
        grown = bool(more)
        found |= more
    return found - {process}


def decodes(process: int) -> bool:
    """Whether a process decodes images, or keeps the books of those that do."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return b"service.decoding." in words or b"resource_tracker" in words


def alive(processes: set[int]) -> set[int]:
    def lives(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] not in ("Z", "X")

    return {pid for pid in processes if lives(pid)}


@contextmanager
def started(root: Path, **options: Any) -> Iterator[Server]:
    options = {"default_model": "turning", "load_timeout": 60, "poll_seconds": 0.2, **options}
    with serving(root, **options) as server:
        yield server


def assert_alone_is_refused(server: Server, root: Path, spoiled: dict[str, str]) -> None:
    """Every honest version answers; every other is listed with a sentence, logged once."""
    assert_serves(server.url)
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    found = until(server.url, lambda found: all(why != "loading" for _, why in found.values()))
    assert {each: found.get(each) for each in HONEST} == HONEST
    assert set(found) == set(HONEST) | set(spoiled)
    for version, sentence in spoiled.items():
        state, reason = found[version]
        assert state == "UNAVAILABLE"
        assert sentence in reason, (version, reason)
        assert reason.endswith(".") and "\n" not in reason and len(reason) < 600
    late = {f"late/{number}": "" for number in range(1, 4)}
    for version in late:  # it has looked at the repository anew once it knows of each
        (root / version).mkdir(parents=True)
        wait_until(lambda: index(server.url).get(version, LOADING) != LOADING)  # noqa: B023
    server.process.send_signal(signal.SIGTERM)
    assert server.end() == 0
    others = [line for line in server.log if not line.startswith("{")]
    assert not others  # tracebacks
    events = [json.loads(line) for line in server.log]
    refused = [f"{e['model']}/{e['version']}" for e in events if e["event"] == "model refused"]
    assert sorted(refused) == sorted({**spoiled, **late})


def test_files_that_are_none_refuse_their_version_alone(
    root: Path, write_version: Any, turning: bytes
) -> None:
    """FIFOs, sockets, devices, folders and terabytes, in place of each file of a version."""
    spoiled: dict[str, str] = {}
    for number, (make, sentence) in enumerate(KINDS.values(), start=10):
        for name in FILES:
            model = f"a{name.partition('.')[0]}"
            replace_by(name, make)(write_version(root, model, number, turning))
            spoiled[f"{model}/{number}"] = f"{name} {sentence}"
    with started(root) as server:
        assert_alone_is_refused(server, root, spoiled)


def test_audit_sets_that_are_none_refuse_their_version_alone(
    root: Path, write_version: Any, turning: bytes
) -> None:
    spoiled: dict[str, str] = {}
    for number, make in enumerate(AUDITS.values(), start=10):
        audit_file(make)(write_version(root, "audits", number, turning))
        spoiled[f"audits/{number}"] = "audit.npz is not an audit set"
    with started(root) as server:
        assert_alone_is_refused(server, root, spoiled)


@pytest.mark.parametrize("count", [3])
def test_graphs_that_run_for_ever_hinder_nobody(
    root: Path, write_version: Any, turning: bytes, count: int
) -> None:
    """More of them than there are CPUs, first in the alphabet, and below the default model too."""
    spoiled: dict[str, str] = {}
    folders = [write_version(root, "endless", number, turning) for number in range(10, 10 + count)]
    for folder in [*folders, write_version(root, "turning", 30, turning)]:
        change_graph(folder, loop_for_ever)
        spoiled[f"{folder.parent.name}/{folder.name}"] = f"takes more than the {LIMIT} s"
    with started(root, load_timeout=LIMIT) as server:
        assert_alone_is_refused(server, root, spoiled)


def test_while_a_version_is_tried_all_others_are_served_and_loaded(
    root: Path, write_version: Any, turning: bytes, tmp_path: Path
) -> None:
    for number in range(10, 13):
        change_graph(write_version(root, "endless", number, turning), loop_for_ever)
    with started(root, loaded=False, load_timeout=600, model_control=True) as server:
        until(server.url, lambda found: HONEST.items() <= found.items())
        assert_serves(server.url)
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        unready = httpx.get(f"{server.url}/readyz")
        assert unready.status_code == 503
        # A later version is found, loaded, unloaded and loaded again beside them.
        write_version(tmp_path / "aside", "turning", 3, turning).rename(root / "turning" / "3")
        until(server.url, lambda found: found.get("turning/3") == READY)
        for call in ("unload", "load"):
            answer = httpx.post(f"{server.url}/v2/repository/models/turning/{call}", timeout=60)
            assert answer.status_code == 200
        assert_serves(server.url)
        # What is tried is given up when it is unloaded, or vanishes.
        httpx.post(f"{server.url}/v2/repository/models/endless/unload", timeout=60)
        assert index(server.url)["endless/10"] == ("UNAVAILABLE", "unloaded")
        wait_until(lambda: not alive(descendants(server.process.pid)))
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_waits_for_no_trial_and_leaves_none_behind(
    root: Path, write_version: Any, turning: bytes, number: signal.Signals
) -> None:
    for each in range(10, 13):
        change_graph(write_version(root, "endless", each, turning), loop_for_ever)
    with started(root, loaded=False, load_timeout=600) as server:
        until(server.url, lambda found: HONEST.items() <= found.items())
        below = descendants(server.process.pid)
        assert len(alive(below)) >= 2  # the one that forks, and what is tried
        server.process.send_signal(number)
        server.process.wait(timeout=60)  # far less than a trial may take
        assert server.process.returncode == (0 if number == signal.SIGTERM else -number)
        wait_until(lambda: not alive(below))


def test_a_graph_that_takes_more_memory_than_it_may_is_refused_alone(
    root: Path, write_version: Any, turning: bytes
) -> None:
    change_graph(write_version(root, "huge", 1, turning), take_half_a_gibibyte)
    with started(root, load_timeout=120, load_memory=300) as server:
        assert_alone_is_refused(server, root, {"huge/1": "more than the 300 MiB"})


def test_what_cannot_be_listed_is_left_alone(
    root: Path, write_version: Any, turning: bytes
) -> None:
    """A name that is no UTF-8, which no answer could carry; folders that link to nowhere."""
    folder = write_version(root, "name", 1, turning).parent
    folder.rename(root / os.fsdecode(b"n\xffme"))
    (root / "nowhere").symlink_to("/nonexistent")
    (root / "file").write_text("no folder")
    with started(root) as server:
        assert_alone_is_refused(server, root, {})
