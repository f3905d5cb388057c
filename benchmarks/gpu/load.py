"""A load from several processes: every connection sends its next request when one is answered.

wrk does the same in C; this needs nothing that a machine without a network would lack.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.wrk import Load, LoadError
from benchmarks.shadow.open_loop import content_length

PATIENCE = 10.0
"""Seconds to wait for the last answers."""

_together: Barrier


class Loader:
    """Processes that stay for many loads: starting them takes longer than a load."""

    def __init__(self, pool: ProcessPoolExecutor, processes: int) -> None:
        self._pool, self._processes = pool, processes

    def drive(
        self, port: int, requests: Sequence[bytes], *, connections: int, seconds: float
    ) -> Load:
        """Send `requests` over `connections` to a server on this machine, for `seconds`.

        The first answer of a connection is waited for, however late; others count within the time.

        Raises
        ------
        LoadError
            If any request failed or was answered with another status than 200.
        """
        shares = [len(range(i, connections, self._processes)) for i in range(self._processes)]
        # Every process has a share, of no connections if need be: they begin together.
        futures = [self._pool.submit(_drive, port, requests, n, seconds) for n in shares]
        counted = [future.result() for future in futures]
        latencies = np.concatenate([latencies for latencies, _ in counted])
        return Load(len(latencies), max(took for _, took in counted), latencies)


@contextmanager
def loader(processes: int) -> Iterator[Loader]:
    """Start processes that load a server together, and end them."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _join, (barrier,)) as pool:
        yield Loader(pool, processes)


def _join(barrier: Barrier) -> None:
    global _together
    _together = barrier


@dataclass
class _Count:
    """What the connections of a process have seen: latencies, and when to send no more."""

    end: float
    latencies: list[float] = field(default_factory=list)
    last: float = 0.0


def _drive(
    port: int, requests: Sequence[bytes], connections: int, seconds: float
) -> tuple[NDArray[np.float64], float]:
    """Return the latencies, and how many seconds the counted answers took."""
    _together.wait()
    began = time.perf_counter()
    count = _Count(began + seconds)
    asyncio.run(_connections(port, requests, connections, count))
    return np.array(count.latencies), max(seconds, count.last - began)


async def _connections(port: int, requests: Sequence[bytes], number: int, count: _Count) -> None:
    loop = asyncio.get_running_loop()
    made = [_Connection(requests, first, count) for first in range(number)]
    try:
        for connection in made:
            await loop.create_connection(connection.itself, "127.0.0.1", port)
        async with asyncio.timeout_at(loop.time() + count.end - time.perf_counter() + PATIENCE):
            await asyncio.gather(*(connection.ended for connection in made))
    except TimeoutError as error:
        raise LoadError(f"a request was not answered in {PATIENCE:.0f} s") from error
    except OSError as error:
        raise LoadError(f"a connection failed: {error}") from error


class _Connection(asyncio.Protocol):
    """One connection: what it has received of an answer, and when the request was sent."""

    def __init__(self, requests: Sequence[bytes], first: int, count: _Count) -> None:
        self._requests, self._next, self._count = requests, first, count
        self._received, self._sent, self._answers = b"", 0.0, 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def itself(self) -> "_Connection":
        """Return it, as asyncio asks for a protocol."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        try:
            if not head.startswith(b"HTTP/1.1 200 "):
                answer = head[:40].decode(errors="replace")
                raise LoadError(f"the server answered {answer!r}")
            if len(body) < content_length(head):
                return
        except LoadError as error:
            self._stop(error)
            return
        now = time.perf_counter()
        if now < self._count.end or not self._answers:
            self._answers += 1
            self._count.latencies.append(now - self._sent)
            self._count.last = now
        if now < self._count.end:
            self._send()
        else:
            self._stop()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop(LoadError("the server closed a connection"))

    def _send(self) -> None:
        self._received, self._sent = b"", time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def _stop(self, error: LoadError | None = None) -> None:
        if not self.ended.done():
            if error is None:
                self.ended.set_result(None)
            else:
                self.ended.set_exception(error)
            self._transport.close()
