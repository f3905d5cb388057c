"""A load that does not wait for answers: requests come at random times, at a rate that is given.

wrk sends the next request when the last one is answered: a server that slows down is asked less.
"""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from benchmarks.serving.wrk import Load, LoadError

PATIENCE = 30.0
"""Seconds to wait for the answers that are under way at the end."""

MOST = 500
"""Requests that may be under way: more are a server, or a machine, that is overloaded."""

FRESH = 2.0
"""Seconds for which a connection may lie idle and be used again: servers close old ones."""


@dataclass(eq=False)
class _Connection:
    """A socket, when its request was due and its last answer whole, and what has come of one."""

    socket: socket.socket
    due: float = 0.0
    idle_since: float = 0.0
    received: bytes = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        self.due, self.received = due, b""
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Read what has come; return whether the answer is whole."""
        more = self.socket.recv(2**16)
        self.received += more
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not more:
            raise LoadError("the server closed a connection")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LoadError(f"the server answered {head[:40].decode(errors='replace')!r}")
        return len(body) >= content_length(head)


def drive(
    port: int, requests: Sequence[bytes], *, rate: float, seconds: float, random: Random
) -> Load:
    """Send ``rate`` requests a second, at the times of a Poisson process, for ``seconds``.

    A request's latency counts from when it was due; it goes over a connection on which none waits.

    Raises
    ------
    LoadError
        If any request failed or was answered with another status than 200, or too many are under
        way.
    """
    idle: list[_Connection] = []
    busy: list[_Connection] = []
    latencies: list[float] = []
    sent = 0
    begun = time.perf_counter()
    due = begun + random.expovariate(rate)
    last = begun + seconds
    try:
        while due < last or busy:
            now = time.perf_counter()
            if now >= due and due < last:
                if len(busy) >= MOST:
                    raise LoadError(f"{MOST} requests are under way: {rate:.0f}/s are too many")
                while idle and idle[-1].idle_since < now - FRESH:
                    idle.pop().socket.close()
                connection = idle.pop() if idle else _Connection(_connect(port))
                busy.append(connection)
                connection.send(requests[sent % len(requests)], due)
                sent += 1
                due += random.expovariate(rate)
                continue
            if now > last + PATIENCE:
                raise LoadError(f"{len(busy)} requests were not answered in {PATIENCE:.0f} s")
            wait = due - now if due < last else PATIENCE
            for connection in select.select(busy, (), (), wait)[0]:
                if connection.answered():
                    connection.idle_since = time.perf_counter()
                    latencies.append(connection.idle_since - connection.due)
                    busy.remove(connection)
                    idle.append(connection)
    except OSError as error:
        raise LoadError(f"a connection failed: {error}") from error
    finally:
        for connection in (*idle, *busy):
            connection.socket.close()
    if not latencies:
        raise LoadError("no request was due within the time")
    return Load(len(latencies), seconds, np.array(latencies))


def content_length(head: bytes) -> int:
    """Return the length of the body that the head of an answer announces."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise LoadError("the server did not say how long its answer is")


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
