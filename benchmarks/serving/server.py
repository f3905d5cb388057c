"""A server as a process of its own: started, waited for, measured in memory, and ended whole."""

import http.client
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks.serving.formats import Answer

START_SECONDS, STOP_SECONDS, POLL_SECONDS = 120.0, 20.0, 0.01
MARK = "BENCHMARK_SERVER"


class ServerError(RuntimeError):
    """A server did not start or answer; the message is one sentence."""


@dataclass(frozen=True)
class Launch:
    """How to start a server: `ready` is the path that answers 200 once it serves."""

    command: Sequence[str]
    environment: Mapping[str, str]
    ready: str
    folder: Path
    grpc_port: int | None = None


@dataclass(frozen=True)
class Server:
    """A server that is ready, and how many seconds that took."""

    port: int
    process: int
    mark: str
    ready_seconds: float
    grpc_port: int | None = None

    def resident_bytes(self) -> int:
        """Return the resident memory of the process and all that it started."""
        return sum(_resident(process) for process in _family(self.process, self.mark))


@contextmanager
def running(launch: Launch, port: int) -> Iterator[Server]:
    """Start a server on ``port``, yield it when it is ready, and end it with all it started.

    Raises
    ------
    ServerError
        If it ends, or is not ready in time; the message closes with its last line of output.
    """
    with tempfile.NamedTemporaryFile() as log:
        mark = f"{MARK}={uuid.uuid4()}"
        begun = time.perf_counter()
        process = subprocess.Popen(
            launch.command,
            env=dict(launch.environment) | dict([mark.split("=")]),
            cwd=launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(process, launch.ready, port, Path(log.name))
            yield Server(port, process.pid, mark, time.perf_counter() - begun, launch.grpc_port)
        finally:
            _end(process, mark)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def ask(port: int, request: bytes) -> Answer:
    """Send one request as it is, and return the answer.

    Raises
    ------
    ServerError
        If nobody answers, or with another status than 200.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"no answer: {error!r}") from error
    if response.status != http.client.OK:
        raise ServerError(f"status {response.status}: {body[:200].decode(errors='replace')}")
    return Answer({name.lower(): value for name, value in response.getheaders()}, body)


def call(port: int, path: str, body: bytes) -> Answer:
    """Call a gRPC method with a message behind its length, and return the answer likewise.

    Raises
    ------
    ServerError
        If nobody answers, or with an error.
    """
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            found = channel.unary_unary(path)(body[5:], timeout=30)
        except grpc.RpcError as error:
            raise ServerError(f"{error.code().name}: {error.details()}") from error
    return Answer({}, b"\0" + struct.pack(">I", len(found)) + found)


def _wait(process: subprocess.Popen[bytes], ready: str, port: int, log: Path) -> None:
    request = f"GET {ready} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ask(port, request)
        except ServerError:
            time.sleep(POLL_SECONDS)
        else:
            return
    lines = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
    how = "was not ready in time" if process.poll() is None else f"ended ({process.returncode})"
    raise ServerError(f"it {how}; its last line: {lines[-1]}")


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Ask the process to end, then kill what is left of all that it started."""
    family = _family(process.pid, mark)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in (family | _family(process.pid, mark)) - {process.pid}:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _family(root: int, mark: str) -> set[int]:
    """Return the process, its descendants as they are now, and those that left it: daemons.

    A daemon is nobody's child but keeps the environment, hence the mark.
    """
    folders = list(Path("/proc").glob("[0-9]*"))
    parents = {int(folder.name): _parent(folder) for folder in folders}
    marked = {int(folder.name) for folder in folders if mark.encode() in _environment(folder)}
    family, grown = {root} | marked, True
    while grown:
        more = {child for child, parent in parents.items() if parent in family} - family
        grown = bool(more)
        family |= more
    return family


def _parent(folder: Path) -> int | None:
    try:
        # The name of the program stands in brackets and may hold anything.
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _environment(folder: Path) -> bytes:
    try:
        return (folder / "environ").read_bytes()
    except OSError:
        return b""


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
