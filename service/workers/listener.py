"""One listening socket that several workers accept from, each about as often as the others.

The kernel wakes all of them for a connection, and an event loop that accepts until nothing is left
gets most of a burst, or all of it. Here a worker takes one at a time, and lets those that have
fewer go first, for a moment.
"""

import asyncio
import mmap
import socket
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOMENT: Final = 0.002
"""Seconds that a worker with fewer connections has to take the next one."""

_PAUSE: Final = 1.0
"""Seconds after which to try again where no more files may be open."""

_ABSENT: Final = 2**31 - 1

log = structlog.get_logger()


class OpenConnections:
    """How many connections each worker has, in memory that all of them share."""

    def __init__(self, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * workers)).cast("i")
        for worker in range(workers):
            self.leave(worker)

    def tell(self, worker: int, count: int) -> None:
        """Say how many a worker has, which takes connections from now on."""
        self._counts[worker] = count

    def leave(self, worker: int) -> None:
        """Say that a worker takes none."""
        self._counts[worker] = _ABSENT

    def fewest(self) -> int:
        """Return the least that any of those that take connections has."""
        return min(self._counts)


class SharedListener:
    """Takes connections from when it is made until it is closed, on the event loop.

    Parameters
    ----------
    sockets
        That listen, and that the other workers have too.
    connections, worker
        What all have, and which of them this one is.
    count
        Returns how many this one has.
    protocol
        Makes the protocol of a connection; it is told by `shutdown` to end.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        connections: OpenConnections,
        worker: int,
        count: Callable[[], int],
        protocol: Callable[[], HttpToolsProtocol],
    ) -> None:
        self._sockets, self._connections, self._worker = sockets, connections, worker
        self._count, self._protocol = count, protocol
        self._loop = asyncio.get_running_loop()
        self._made: set[asyncio.Task[None]] = set()
        self._closed = False
        self._timers: dict[socket.socket, asyncio.TimerHandle] = {}
        self._tell()
        for each in sockets:
            each.setblocking(False)
            self._watch(each)

    def close(self) -> None:
        """Take no more; what was just taken is told to end, as all connections are."""
        self._closed = True
        self._connections.leave(self._worker)
        for each in self._sockets:
            if (timer := self._timers.pop(each, None)) is not None:
                timer.cancel()
            self._loop.remove_reader(each)

    async def wait_closed(self) -> None:
        """Return when nothing is left of what was being taken."""
        if self._made:
            await asyncio.wait(self._made)

    def _tell(self) -> int:
        count = self._count() + len(self._made)
        self._connections.tell(self._worker, count)
        return count

    def _watch(self, listening: socket.socket) -> None:
        self._timers.pop(listening, None)
        self._loop.add_reader(listening, self._look, listening)

    def _rest(self, listening: socket.socket, seconds: float, then: Callable[..., None]) -> None:
        self._loop.remove_reader(listening)
        self._timers[listening] = self._loop.call_later(seconds, then, listening)

    def _look(self, listening: socket.socket) -> None:
        """Take a connection, unless it is another worker's turn."""
        if self._tell() > self._connections.fewest():
            self._rest(listening, _MOMENT, self._insist)
        else:
            self._take(listening)

    def _insist(self, listening: socket.socket) -> None:
        """Take it if it is still there: who had fewer is busy."""
        self._watch(listening)
        self._take(listening)

    def _take(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error("no connection can be taken", reason=error.strerror)
            self._rest(listening, _PAUSE, self._watch)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._make(connection))
        self._made.add(task)
        task.add_done_callback(self._made.discard)
        self._tell()

    async def _make(self, connection: socket.socket) -> None:
        try:
            _, made = await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client is gone already
            connection.close()
            return
        if self._closed:
            made.shutdown()
