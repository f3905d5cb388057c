"""HTTP/1.1 as uvicorn speaks it, for clients that speak it badly or not at all, and quickly."""

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http.reader import RequestReader

_TIMES: Final = 10
"""How often a client may let the time pass until it has taken what waits for it."""


class _Connection(RequestReader):
    """A connection with limits of time.

    One that is opened, or has begun a request, and does not send the whole head in time is closed;
    so is one that takes less than a tenth of its answer in as long. There is one timer for the time
    that it may be idle, in place of one a request.
    """

    head_seconds: ClassVar[float]

    _head_timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._idle_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.awaits_head or self._head_timer is not None:  # most heads come whole
            self._look_at_head()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self.answer_next()
            self._look_at_head()
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._end_idle)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()

    def _watch_writing(self, unread: int) -> None:
        self._end_writing_later(unread, max(1, unread // _TIMES))

    def _end_writing_later(self, unread: int, least: int) -> None:
        self._write_timer = self.loop.call_later(
            self.head_seconds, self._end_writing, unread, least
        )

    def _end_writing(self, before: int, least: int) -> None:
        """Hang up on a client that has taken less of its answer than it has to."""
        unread = self.transport.get_write_buffer_size()
        if unread <= before - least:
            self._end_writing_later(unread, least)
        else:
            self.transport.abort()

    def _look_at_head(self) -> None:
        if self.has_begun:
            self.has_begun = False
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        if self.awaits_head:
            self._await_head()

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_seconds, self._close)

    def _end_idle(self) -> None:
        """Close a connection that has been idle for too long, and look again if it has not."""
        self._idle_timer = None
        if self.awaits_head or not self.cycle.response_complete:
            return  # its next answer sets the timer
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self._close()
        else:
            self._idle_timer = self.loop.call_later(left, self._end_idle)

    def _close(self) -> None:
        self.transport.close()
        if unread := self.transport.get_write_buffer_size():  # which might never be read
            if self._write_timer is not None:
                self._write_timer.cancel()
            self._watch_writing(unread)


def protocol(head_seconds: float) -> type[HttpToolsProtocol]:
    """Return the protocol, with a bound on how long the head of a request may take to arrive.

    The same bound holds for a client that takes too little of its answer.
    """

    class Bounded(_Connection):
        pass

    Bounded.head_seconds = head_seconds
    return Bounded
