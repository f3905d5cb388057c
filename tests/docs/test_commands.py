"""What the documentation has people type is run, and prints what stands below it.

A block is run unless a comment above it says why not, or it needs programs of another world. Each
page is followed in a folder of its own, from its first block to its last.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.blocks import Block, agrees, blocks
from tests.program import Process, run, start
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
RUN_BY = {"console", "python", "bash", "java"}

OUTSIDE = {"apt-get", "cosign", "docker", "helm", "kubectl", "make", "podman", "skopeo"}
"""What they do to a machine, or to one that is not here, has tests of its own."""

PLAIN = re.compile(r"orbitserve (?P<words>(?!train)[^|;&<>$`#*]+?)(?: \| head -(?P<head>\d+))?")
"""A call of the command without anything that only a shell does, but for its first lines.

What a terminal shows of training goes from one stream to the other and back.
"""

STARTS = re.compile(r"(?:\w+=\S+ +)*(?:make|orbitserve) serve\b")


def programs(block: Block) -> set[str]:
    """Return what a block of the kind `console` calls first, but for the service."""
    commands = [step.command for step in block.steps() if not STARTS.match(step.command)]
    return {Path(re.sub(r"^(\w+=\S+ +)*", "", each).split()[0]).name for each in commands}


def is_run(block: Block) -> bool:
    if block.why is not None or block.kind not in RUN_BY:
        return False
    return block.kind != "console" or not programs(block) & OUTSIDE


RUN = {page: [block for block in blocks(page) if is_run(block)] for page in PAGES}


class Reader:
    """Somebody who follows a page in a folder, with a second terminal for the service.

    ``usual`` returns the port of a service that was started as most pages have it.
    """

    def __init__(self, folder: Path, usual: Callable[[], int]) -> None:
        self.folder, self.usual = folder, usual
        self.service: Process | None = None
        self.port, self.grpc_port = 0, 0
        programs = folder / ".venv" / "bin"
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "ORBITSERVE_CACHE": str(folder / "cache"),
        }
        programs.mkdir(parents=True)
        (programs / "activate").touch()
        for name in ("examples", "tests", "deploy"):
            (folder / name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "model_repository", folder / "model_repository")
        for name, words in (("orbitserve", "-m orbitserve "), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
            program.chmod(0o755)

    def follow(self, block: Block) -> Iterator[str]:
        """Do what a block says, and yield what did not come of it."""
        if block.kind != "console":
            status, printed = self.type(self.program(block), block.text)
            if status:
                yield f"{block.place}: it ends with {status}: {printed}"
            return
        for step in block.steps():
            if STARTS.match(step.command):
                if self.asks(block):
                    self.serve(step.command)
                continue
            status, printed = self.type(step.command)
            if step.printed and not agrees(printed, step.printed):
                yield f"{block.place}: {step.command}\nprints\n{printed}"
            elif status and (
                "orbitserve: " not in step.printed if status == 3 else not step.printed
            ):
                yield f"{block.place}: {step.command}\nends with {status}: {printed}"

    def asks(self, block: Block) -> bool:
        """Whether anything behind this block, which starts a service, asks one."""
        later = [other for other in RUN[block.page] if other.line >= block.line]
        return any("localhost:800" in other.text for other in later)

    def program(self, block: Block) -> str:
        """Save a block as a file, and return the command that runs it."""
        if block.kind == "java":
            name = re.search(r"class (\w+)", block.text)
            assert name is not None
            path = self.folder / f"{name[1]}.java"
        else:
            path = self.folder / f"block.{block.kind}"
        path.write_text(self.to_ports(block.text))
        if "from kserve" in block.text:
            return f"env -u PYTHONPATH {os.environ['KSERVE_PYTHON']} {path}"
        return f"{block.kind} {path}"

    def type(self, command: str, within: str = "") -> tuple[int, str]:
        """Return the status and what a terminal shows; ``within`` is what the command runs."""
        if "localhost:800" in command + within and not self.port:
            self.port = self.usual()
        if (plain := PLAIN.fullmatch(command)) is not None:  # quicker than another Python
            words = shlex.split(plain["words"].replace("\\\n", " "))
            done = run(words, self.environment, folder=self.folder, timeout=600)
            shown = f"{done.stdout}{done.stderr}".splitlines(keepends=True)
            return (
                (0, "".join(shown[: int(plain["head"])]))
                if plain["head"]
                else (
                    done.returncode,
                    "".join(shown),
                )
            )
        shell = subprocess.run(
            ["bash", "-c", self.to_ports(command)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        return shell.returncode, shell.stdout

    def serve(self, command: str) -> None:
        """Start the service in place of the one that runs."""
        self.end()
        self.port, self.grpc_port = free_port(), free_port()
        given, words = STARTS.sub("", command), re.findall(r"(\w+)=(\S+)", command)
        told = {"ORBITSERVE_PORT": str(self.port), "ORBITSERVE_PROOF": "off"}  # to start sooner
        environment = self.environment | dict(words) | told
        if "ORBITSERVE_GRPC_PORT" in environment:
            environment["ORBITSERVE_GRPC_PORT"] = str(self.grpc_port)
        options = shlex.split(given, comments=True)
        self.service = start(["serve", *options], environment, self.folder)
        process, said = self.service, []
        streams = (process.stdout, process.stderr)  # what nobody reads would wait for a reader
        self.terminal = [
            threading.Thread(target=lambda each=each: said.extend(each)) for each in streams
        ]
        for each in self.terminal:
            each.start()
        wait_until(lambda: is_ready(self.port) or process.poll() is not None)
        assert process.poll() is None, f"{command}: {''.join(said)}"

    def end(self) -> None:
        """Press Ctrl-C in the terminal of the service."""
        if self.service is None:
            return
        process, self.service = self.service, None
        try:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
            for each in self.terminal:
                each.join()
            process.end()

    def to_ports(self, text: str) -> str:
        """Write the ports of the service that runs, since others are busy with the usual ones."""
        text = re.sub(r"(?<=localhost:)8000\b", str(self.port), text)
        return re.sub(r"(?<=localhost:)8001\b", str(self.grpc_port), text)


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://localhost:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port


def test_what_is_printed_is_compared_but_for_last_digits_and_what_is_left_out() -> None:
    assert agrees("0.939025\nmoved by 2e-07, 512 images \n", "0.939\nmoved by 4.3e-07, 512 images")
    assert agrees("PASS\nmuch\nmore\n", "PASS\n...\n")
    assert agrees('{"digest":"sha256:05b5","label":"7"}', '{"digest":"sha256:...","label":"7"}')
    assert not agrees("0.909", "0.939")
    assert not agrees("512 images", "511 images")
    assert not agrees("moved by 4e-03", "moved by 4e-07")
    assert not agrees("FAIL\nmore", "PASS\n...")
    assert not agrees("one line\nand another", "one line")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_found(page: Path) -> None:
    found = blocks(page)
    assert len(found) == len(re.findall(r"^```\w", page.read_text("utf-8"), re.M))
    assert not any("```" in block.text for block in found)


def test_steps_go_on_over_lines_that_end_in_a_backslash() -> None:
    block = Block(Path("a.md"), 1, "console", "$ a \\\n    b\n1\n2\n$ c\n", None)
    assert [(step.command, step.printed) for step in block.steps()] == [
        ("a \\\n    b", "1\n2\n"),
        ("c", ""),
    ]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], int]]:
    """A service as `make serve` starts it, once a page asks for it."""
    reader = Reader(tmp_path_factory.mktemp("usual"), lambda: 0)

    def port() -> int:
        if reader.service is None:
            reader.serve("orbitserve serve")
        return reader.port

    yield port
    reader.end()


@pytest.fixture
def reader(tmp_path: Path, usual: Callable[[], int]) -> Iterator[Reader]:
    reader = Reader(tmp_path, usual)
    yield reader
    reader.end()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if RUN[page]], ids=lambda page: page.stem)
def test_what_a_page_has_people_type_comes_out_as_it_says(page: Path, reader: Reader) -> None:
    for block in RUN[page]:
        if block.kind == "java" and shutil.which("java") is None:
            continue
        if "kserve" in block.text and block.kind == "python" and "KSERVE_PYTHON" not in os.environ:
            continue
        wrong = "\n".join(reader.follow(block))
        assert not wrong, wrong
