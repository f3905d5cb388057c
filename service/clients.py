"""Clients that send too much, send too slowly, or hang up: what the service does about each."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import SlowClientError, TooLargeError

LOOK_AFTER: Final = 0.05
"""Seconds of work on one request before its client is looked after."""


class BodyLimitMiddleware:
    """Refuses bodies that are too large or too slow.

    One that announces its length is refused at once, another as soon as it has grown too large.
    The time counts for the whole body, so that no trickle, however steady, holds a connection.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_seconds: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.max_seconds = max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self.max_bytes:
            raise self._too_large()
        until = asyncio.get_running_loop().time() + self.max_seconds
        received, complete = 0, False

        async def receive_within_limits() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise self._too_slow() from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise self._too_large()
            return message

        await self.app(scope, receive_within_limits, send)

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is too large; at most {self.max_bytes} bytes are accepted.")

    def _too_slow(self) -> SlowClientError:
        return SlowClientError(
            f"The body did not arrive in time; all of it within {self.max_seconds:g} s is accepted."
        )


class HangUpMiddleware:
    """Cancels the work on a request whose client has hung up before an answer began.

    Most requests are answered before it starts to look, and cost no more than a timer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call = _WatchedCall(receive, send)
        try:
            await self.app(scope, call.receive, call.send)
        except asyncio.CancelledError:
            if not call.hung_up:
                raise
            raise ClientDisconnect from None
        finally:
            call.end()


class _WatchedCall:
    """One call, and a look at its client now and then until an answer begins."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.hung_up = False
        self._receive, self._send = receive, send
        self._received = self._answered = False
        self._loop = asyncio.get_running_loop()
        self._worker = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(LOOK_AFTER, self._look)

    async def receive(self) -> Message:
        message = await self._receive()
        self._received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self._answered = True
        await self._send(message)

    def end(self) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _look(self) -> None:
        # Before all of the body is there, whoever reads it is told of a client that hangs up.
        if self._received:
            self._watcher = self._loop.create_task(self._watch())
        else:
            self._timer = self._loop.call_later(LOOK_AFTER, self._look)

    async def _watch(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._answered and self._worker:
            self.hung_up = True
            self._worker.cancel()
