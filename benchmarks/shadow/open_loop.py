"""A load that does not wait for answers: requests come at times that are given.

wrk sends the next request when the last one is answered: a server that slows down is asked less.
"""

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.wrk import LoadError

PATIENCE = 30.0
"""Seconds to wait for the answers that are under way at the end."""

MOST = 500
"""Requests that may be under way: more are a server, or a machine, that is overloaded."""

FRESH = 2.0
"""Seconds for which a connection may lie idle and be used again: servers close old ones."""


@dataclass(frozen=True, eq=False)
class Answered:
    """Requests in the order of their answers, one number each, in seconds.

    Attributes
    ----------
    due
        When a request was due, since the load began.
    latencies
        How long after that its answer was whole.
    """

    due: NDArray[np.float64]
    latencies: NDArray[np.float64]


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


def poisson(rate: float, seconds: float, random: Random) -> Sequence[float]:
    """Draw the times of a Poisson process of ``rate`` events a second, up to ``seconds``."""
    times, at = [], random.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += random.expovariate(rate)
    return times


def drive(
    port: int,
    requests: Sequence[bytes],
    times: Sequence[float],
    announce: Callable[[float], object] = lambda _: None,
) -> Answered:
    """Send a request at each of the ascending ``times``, in seconds since the load began.

    A request's latency counts from when it was due; it goes over a connection on which none waits.

    Parameters
    ----------
    announce
        Called before a request is sent, with the time at which it was due.

    Raises
    ------
    LoadError
        If any request failed or was answered with another status than 200, too many are under way,
        or there are none.
    """
    idle: list[_Connection] = []
    busy: list[_Connection] = []
    answered: list[tuple[float, float]] = []
    if not times:
        raise LoadError("no request was due within the time")
    sent, begun = 0, time.perf_counter()
    try:
        while sent < len(times) or busy:
            now = time.perf_counter() - begun
            if sent < len(times) and now >= times[sent]:
                if len(busy) >= MOST:
                    raise LoadError(f"{MOST} requests are under way: they come too fast")
                while idle and idle[-1].idle_since < now - FRESH:
                    idle.pop().socket.close()
                connection = idle.pop() if idle else _Connection(_connect(port))
                busy.append(connection)
                announce(times[sent])
                connection.send(requests[sent % len(requests)], times[sent])
                sent += 1
                continue
            if now > times[-1] + PATIENCE:
                raise LoadError(f"{len(busy)} requests were not answered in {PATIENCE:.0f} s")
            wait = times[sent] - now if sent < len(times) else PATIENCE
            for connection in select.select(busy, (), (), wait)[0]:
                if connection.answered():
                    connection.idle_since = time.perf_counter() - begun
                    answered.append((connection.due, connection.idle_since - connection.due))
                    busy.remove(connection)
                    idle.append(connection)
    except OSError as error:
        raise LoadError(f"a connection failed: {error}") from error
    finally:
        for connection in (*idle, *busy):
            connection.socket.close()
    return Answered(*np.array(answered).T)


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
