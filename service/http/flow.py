"""When a connection is read from, and how it is closed by a server that answers and reads on."""

import asyncio
from collections import deque
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl

_LINGER_SECONDS: Final = 2.0


class Flow(FlowControl):
    """uvicorn's, which does not let a connection be read from while requests wait on it.

    Otherwise a client that sends and never reads would have the server remember all it sends.
    """

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read again, if nothing waits."""
        if self.read_paused and not self._waiting:
            super().resume_reading()


class Lingering:
    """A transport that is closed in two steps, for an answer to a client that still sends.

    The kernel resets a connection that is closed with bytes unread, and what was written to it may
    then never be seen. So the own side is closed first, and the other side's bytes are received,
    and dropped, for a moment.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """End what is written now, and the connection when the client ends it, or soon."""
        if self._transport.is_closing():
            return
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.abort)
