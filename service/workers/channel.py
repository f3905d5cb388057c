"""The supervisor's end of a worker's socket: it never waits, neither to read nor to write."""

import socket
from collections.abc import Iterator
from contextlib import suppress

from service.workers.messages import FROM_WORKER, FromWorker, Reading, ToWorker, encoded

_BLOCK = 2**18


class Channel:
    """Messages to one worker and from it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self._reading = Reading()
        self._unsent = bytearray()

    @property
    def waits(self) -> bool:
        """Whether something waits until the worker has read what was sent before."""
        return bool(self._unsent)

    def send(self, message: ToWorker) -> None:
        """Send a message, now or as soon as the worker reads."""
        self._unsent += encoded(message)
        self.flush()

    def flush(self) -> None:
        """Send what the worker takes; that it is gone is seen elsewhere."""
        with suppress(BlockingIOError):
            try:
                while self._unsent:
                    del self._unsent[: self.connection.send(self._unsent)]
            except (BrokenPipeError, ConnectionResetError):
                self._unsent.clear()

    def receive(self) -> Iterator[FromWorker]:
        """Yield what has come, as far as it is whole."""
        with suppress(BlockingIOError, ConnectionResetError):
            while data := self.connection.recv(_BLOCK):
                yield from map(FROM_WORKER.decode, self._reading.take(data))

    def close(self) -> None:
        """End it."""
        self.connection.close()
