"""The service as a process: how it starts, refuses to start, stays up and ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from select import select
from typing import Any

import httpx
import numpy as np
import pytest

from imaging.process import ENDING
from tests.program import PROGRAM, run
from tests.service.processes import (
    GREY,
    Server,
    assert_serves,
    environment,
    npy,
    serving,
)
from tests.waiting import LIMIT, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, forked=False, default_model="turning") as server:
        yield server


@pytest.mark.slow
def test_what_audits_alone_need_is_not_imported_before_the_port_opens() -> None:
    code = (
        "import sys, service.server; sys.exit(bool({'scipy.special', 'jinja2'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_serves_and_logs_json(server: Server) -> None:
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}
    assert_serves(server.url)
    events = [json.loads(line) for line in server.log]
    loaded = {(e["model"], e["version"]) for e in events if e["event"] == "model loaded"}
    assert loaded == {("turning", 2), ("turning", 10), ("plain", 1)}
    # Where CUDA does not start, that is said once of the machine, and not of each model.
    assert [e["event"] for e in events if "note" in e] in ([], ["device"])


def test_the_service_never_imports_torch(server: Server) -> None:
    assert_serves(server.url)
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_a_png_of_60000_by_60000_pixels_leaves_it_serving(
    server: Server, png_announcing: Callable[[int], bytes]
) -> None:
    answer = httpx.post(f"{server.url}/classify", content=png_announcing(60_000))
    assert answer.status_code == 413
    assert "too large" in answer.json()["error"]
    assert_serves(server.url)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused_in_json(server: Server, announced: bool) -> None:
    block = bytes(2**20)
    content: Any = block * 64 if announced else (block for _ in range(64))
    with httpx.Client() as client:
        answer = client.post(f"{server.url}/classify", content=content)
        assert answer.status_code == 413
        assert "33554432 bytes" in answer.json()["error"]
        assert_serves(server.url)


def test_a_client_that_hangs_up_leaves_it_serving(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nxx")
    assert_serves(server.url)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", ENDING)
def test_it_ends_with_status_0_when_asked_to(
    repository: Path, number: signal.Signals, workers: int
) -> None:
    with serving(repository, default_model="turning", workers=workers) as server:
        assert_serves(server.url)
        server.process.send_signal(number)
        assert server.end() == 0, server.log
        assert "Traceback" not in "".join(server.log)


_SLOW_IMPORT = """
import os, sys, time
PROCESS, PARENT = os.getpid(), os.getppid()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["SLOW"] and os.getpid() == PROCESS:
            print("is being imported", file=sys.stderr, flush=True)
            while os.getppid() == PARENT:
                time.sleep(0.05)

sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize("module", ["service.server", "scipy.special", "service.decoding.server"])
def test_it_waits_for_no_import_to_end(repository: Path, tmp_path: Path, module: str) -> None:
    """In the main thread before it serves, in another one afterwards, or in what decodes."""
    (tmp_path / "sitecustomize.py").write_text(_SLOW_IMPORT)
    path = os.pathsep.join((str(tmp_path), str(Path.cwd())))
    told = environment(repository) | {"PYTHONPATH": path, "SLOW": module}
    with subprocess.Popen(
        [*PROGRAM, "serve"], env=told, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr
            assert any("is being imported" in line for line in process.stderr)
            process.terminate()
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()


def test_process_1_ends_when_it_is_asked_to() -> None:
    """The kernel keeps from it the signals that it has no handler for, as others need none."""
    code = (
        "import os, signal, sys; own = os.getpid(); os.getpid = lambda: 1\n"
        "import orbitserve; orbitserve._run = lambda: os.kill(own, signal.SIGTERM) or 0\n"
        "orbitserve.main()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 143


def test_a_signal_to_the_whole_group_asks_each_worker_once(repository: Path) -> None:
    """As Ctrl-C and systemd send it: a worker hears it itself, and from its supervisor."""
    head = f"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Length: {len(GREY)}\r\n"
    request = head.encode() + b"Content-Type: application/x-npy\r\n\r\n" + GREY
    with serving(repository, default_model="turning", workers=2) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.sendall(request[:-5])
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: sum('"ending"' in line for line in tuple(server.log)) == 2)
            told = [json.loads(line) for line in tuple(server.log) if '"worker started"' in line]
            assert len(told) == 2
            for each in told:
                with suppress(ProcessLookupError):  # the one that has nothing to answer
                    os.kill(each["pid"], signal.SIGTERM)
            client.sendall(request[-5:])
            assert client.recv(2**16).startswith(b"HTTP/1.1 200")
        assert server.end() == 0, server.log


def test_requests_under_way_are_answered_before_it_ends(repository: Path) -> None:
    """Audits run one at a time, so most of these still wait when the signal comes."""
    many = npy(np.random.default_rng(1).integers(0, 256, (2048, 1, 8, 8), dtype=np.uint8))
    head = f"POST /models/turning/audit HTTP/1.1\r\nHost: a\r\nContent-Length: {len(many)}\r\n"
    request = head.encode() + b"Content-Type: application/x-npy\r\n\r\n" + many
    with serving(repository, default_model="turning") as server, ExitStack() as stack:
        host, port = server.url.removeprefix("http://").split(":")
        clients = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            for _ in range(4)
        ]
        for client in clients:
            client.sendall(request)
        answered = select(clients, [], [], 10)[0]  # whichever was decoded first
        server.process.send_signal(signal.SIGTERM)
        assert 0 < len(answered) < 4
        for answer in (client.recv(2**16) for client in clients):
            assert answer.startswith(b"HTTP/1.1 200")
        assert server.end() == 0


def refusal(repository: Path, **options: object) -> str:
    """Start a service that must refuse to, and return the one line it leaves."""
    done = run(["serve"], environment(repository, **options), timeout=60)
    assert done.returncode == 3
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert re.fullmatch(r"orbitserve: [^\n]+", lines[0])
    return lines[0]


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_a_refusal_with_the_reason(repository: Path) -> None:
    sentence = refusal(repository, device="cuda")
    assert "device=cuda was asked for and CUDAExecutionProvider does not start: lib" in sentence
    assert sentence.endswith("; device=cpu needs no GPU, and docs/gpu.md says what one needs.")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_configuration_that_cannot_serve_is_a_refusal(
    repository: Path, tmp_path: Path, workers: int
) -> None:
    assert "holds no model" in refusal(tmp_path, workers=workers)
    said = refusal(repository, default_model="none", workers=workers)
    assert "'none' is not in the repository" in said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_ledger_that_cannot_be_kept_is_a_refusal_before_anything_is_loaded(
    repository: Path, tmp_path: Path, workers: int
) -> None:
    """Where a thread was inside of onnxruntime meanwhile, the process ended by SIGABRT."""
    (tmp_path / "file").touch()
    for url in (f"simplecache::file://{tmp_path}", "no://where", str(tmp_path / "file")):
        said = refusal(repository, ledger=url, workers=workers, log_level="error")
        assert "The ledger cannot be" in said
    told = run(
        ["serve"], environment(repository, ledger="no://where", workers=workers), timeout=60
    ).stderr
    assert "model loaded" not in told


@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_in_use_is_a_refusal(repository: Path, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(repository, port=0, grpc_port=port, workers=workers)
        assert f"127.0.0.1:{port} cannot be listened on; ORBITSERVE_HOST" in said
        assert f"127.0.0.1:{port} cannot be listened on" in refusal(
            repository, port=port, workers=workers
        )
        told = run(
            ["serve"], environment(repository, port=port, workers=workers), timeout=20
        ).stderr
    assert "model loaded" not in told  # before anything was


@pytest.mark.parametrize("host", ["a..b", "no.such.host.invalid", "8.8.8.8"])
def test_an_address_that_is_not_this_machines_is_a_refusal(repository: Path, host: str) -> None:
    assert f"{host}:0 cannot be listened on" in refusal(repository, host=host)


def test_an_address_in_use_on_both_families_is_a_refusal(repository: Path) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = taken.getsockname()[1]
        assert f":::{port} cannot be listened on" in refusal(repository, host="::", port=port)
