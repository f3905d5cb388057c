"""One hostile client against one server: memory, other clients, and the end at SIGTERM."""

import http.client
import io
import multiprocessing
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.hostile.row import Answer, Row
from benchmarks.serving.server import Launch, Server, running

SHUTDOWN_SECONDS = 5
"""The grace that servers here are given: `ORBITSERVE_SHUTDOWN_SECONDS`."""

_PAUSE = 0.01
_LOST = 600.0


@dataclass(frozen=True)
class Figures:
    """What was measured beside a hostile client.

    Attributes
    ----------
    answers
        Those that it got.
    growth_bytes
        Peak of the resident memory of the server and its children, above what it was before.
    slowest
        Seconds of the slowest `GET /healthz` of a good client, and of its slowest other request.
    failures
        Requests of the good client that were not answered with 200.
    ending_seconds
        From SIGTERM, while the hostile client is at it again, to the end of the process; None if
        it did not end within the grace and five seconds more.
    """

    answers: list[Answer]
    growth_bytes: int
    slowest: tuple[float, float]
    failures: int
    ending_seconds: float | None


def measure(
    row: Row, launch: Launch, port: int, request: bytes, *, term_after: float = 4.0
) -> Figures:
    """Play a row against a server that is started for it.

    Parameters
    ----------
    request
        The body of a request to `/classify` that the good client makes, an image file.
    term_after
        For so many seconds the row is played again before the server is asked to end.
    """
    with running(launch, port) as server:
        good = [_Good(port, "GET", "/healthz", None), _Good(port, "POST", "/classify", request)]
        for client in good:
            client.ask()  # what is loaded once is loaded
        _classify(port, large_image())  # and the processes that decode have started
        before = server.resident_bytes()
        with _sampled(server) as peak, _asking(good):
            answers = _play(row, port)
        ending = _end_beside(row, server, term_after)
        for client in good:
            client.close()
    slowest = good[0].slowest, good[1].slowest
    failures = sum(client.failures for client in good)
    return Figures(answers, max(0, peak() - before), slowest, failures, ending)


def large_image() -> bytes:
    """Return an image file that is decoded in a process of its own."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def _classify(port: int, image: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/classify", image, {"Content-Type": "image/png"})
    connection.getresponse().read()
    connection.close()


def _play(row: Row, port: int) -> list[Answer]:
    with _player(row, port, again=False) as answers:
        if not answers.poll(_LOST):
            return []
        received: list[Answer] = answers.recv()
        return received


def _end_beside(row: Row, server: Server, term_after: float) -> float | None:
    """Ask the server to end while the row is played again and again."""
    with _player(row, server.port, again=True) as begun:
        if begun.poll(_LOST):
            begun.recv()
        time.sleep(term_after)
        process, began = server.process, time.monotonic()
        while time.monotonic() - began < SHUTDOWN_SECONDS + 5:
            if time.monotonic() - began < _PAUSE:
                _signal(process)
            if not _lives(process):
                return time.monotonic() - began
            time.sleep(_PAUSE)
    return None


def _signal(process: int) -> None:
    subprocess.run(["kill", f"-{int(signal.SIGTERM)}", str(process)], check=False)


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def _player(row: Row, port: int, *, again: bool) -> Iterator[Connection]:
    """Play a row in a process of its own, which takes no time from the good clients' threads."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    player = context.Process(target=_run, args=(row, port, there, again), daemon=True)
    player.start()
    there.close()
    try:
        yield here
    finally:
        player.kill()
        player.join()
        here.close()


def _run(row: Row, port: int, results: Connection, again: bool) -> None:
    built = row.build()
    if not again:
        results.send(row.play(port, built))
        return
    results.send(None)
    try:
        while True:
            row.play(port, built)
    except OSError:
        return


class _Good:
    """A client that asks the same again and again, on one connection."""

    def __init__(self, port: int, method: str, path: str, body: bytes | None) -> None:
        self._request = method, path, body, {"Content-Type": "application/octet-stream"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.slowest, self.failures = 0.0, 0

    def ask(self) -> float:
        """Ask once, and return the seconds to the end of the answer."""
        began = time.monotonic()
        try:
            self._connection.request(*self._request)
            response = self._connection.getresponse()
            response.read()
            self.failures += response.status != http.client.OK
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self.failures += 1
        return time.monotonic() - began

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def ask_until(self, done: threading.Event) -> None:
        """Ask until there is no need to, and note the slowest answer."""
        while not done.wait(_PAUSE):
            self.slowest = max(self.slowest, self.ask())


@contextmanager
def _asking(clients: list[_Good]) -> Iterator[None]:
    done = threading.Event()
    threads = [threading.Thread(target=client.ask_until, args=(done,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@contextmanager
def _sampled(server: Server) -> Iterator[Callable[[], int]]:
    """Yield what returns the largest resident memory so far."""
    seen, done = [server.resident_bytes()], threading.Event()

    def sample() -> None:
        while not done.wait(5 * _PAUSE):
            seen.append(server.resident_bytes())

    def largest() -> int:
        return max(*seen, _high_water(server.process))

    thread = threading.Thread(target=sample)
    Path(f"/proc/{server.process}/clear_refs").write_text("5")  # its high-water mark begins anew
    thread.start()
    try:
        yield lambda: max(seen)
    finally:
        done.set()
        thread.join()
        seen.append(largest())


def _high_water(process: int) -> int:
    """Return the largest resident memory that the kernel has seen of one process."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
