"""The messages of a call, each received within bounds of time and memory.

gRPC hands a method its one message when all of it has come, however long that takes, and holds what
has come until then, also of a client that has no key. A method that takes a stream reads its
messages itself; so all methods here take one, and clients do not see the difference.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from service.errors import ServiceError
from service.grpc.fields import WORTH_COUNTING, check_fields

SOON: Final = 1.0
"""Seconds in which a message is not counted that is on its way: nearly all are there at once."""

_TOLD: Final = 0.1
"""Seconds in which gRPC tells that a client cancelled, once it has said that no message comes."""

_ENDING: Final = "The service is ending, and waits for no further message."


class Receiver:
    """Receives messages.

    How much of a message has come is known to gRPC alone. So one that is not there after a second
    counts as one of the largest, of which no more than so many may be on their way.

    Parameters
    ----------
    seconds
        In which all of a message has to be there.
    most
        Messages that may be on their way for longer than `SOON`.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._slow = 0
        self._between: set[_Reading] = set()
        self._ending = False

    async def read(self, context: Any, *, another: bool = False) -> Any:
        """Receive the next message of a call; `grpc.aio.EOF` behind the last.

        Parameters
        ----------
        another
            Whether it comes behind one that was answered, and is not waited for at the end.

        Raises
        ------
        grpc.aio.AbortError
            If it was not there in time, or too many others are not. The client has been told so.
        asyncio.CancelledError
            If the client cancelled the call before it had sent it.
        """
        reading = _Reading(context)
        # Looked for twice: where the event loop was held up, what has come may not be read yet.
        if self._seconds > SOON:
            reading.after(SOON / 2, lambda: reading.after(SOON / 2, partial(self._count, reading)))
        else:
            reading.after(self._seconds, partial(self._end_late, reading))
        if another:
            self._between.add(reading)
            if self._ending:  # which came between the answer and this
                reading.end(grpc.StatusCode.UNAVAILABLE, _ENDING)
        try:
            found = await reading.result()
            if found is grpc.aio.EOF and not another:
                await asyncio.sleep(_TOLD)  # which a cancelled call does not outlive
            return found
        finally:
            self._slow -= reading.slow
            self._between.discard(reading)

    async def receive(self, context: Any, request: type[Any], *, another: bool = False) -> Any:
        """Receive the one message of a call that only tells something; None behind the last.

        Raises
        ------
        grpc.aio.AbortError
            If it was not there in time, or cannot be read. The client has been told so.
        """
        data = await self.read(context, another=another)
        if another and data is grpc.aio.EOF:
            return None
        try:
            return decode(request, data)
        except ServiceError as fault:
            return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault.sentence)

    async def receive_all(self, context: Any, request: type[Any]) -> AsyncIterator[Any]:
        """Receive the messages of such a call, each as `receive` does."""
        sent = await self.receive(context, request)
        while sent is not None:
            yield sent
            sent = await self.receive(context, request, another=True)

    def _count(self, reading: "_Reading") -> None:
        """Count a message that is not there yet, or end its call."""
        if self._slow >= self._most:
            reading.end(
                grpc.StatusCode.UNAVAILABLE,
                f"Too many messages are on their way; at most {self._most} that take longer than "
                f"{SOON:g} s are accepted at a time. Try again in a moment.",
                ("retry-after", "1"),
            )
            return
        reading.slow = True
        self._slow += 1
        reading.after(self._seconds - SOON, partial(self._end_late, reading))

    def _end_late(self, reading: "_Reading") -> None:
        reading.end(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "The message did not arrive in time; all of it within "
            f"{self._seconds:g} s is accepted.",
        )

    def end(self) -> None:
        """Wait for no message any more that comes behind one that was answered."""
        self._ending = True
        for reading in tuple(self._between):
            reading.end(grpc.StatusCode.UNAVAILABLE, _ENDING)


class _Reading:
    """The reading of one message, which may be ended from outside.

    Attributes
    ----------
    slow
        Whether it is counted among those that take long.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._ended: asyncio.Task[Exception] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.slow = False

    def after(self, seconds: float, look: Callable[[], None]) -> None:
        """Look at it in so many seconds, unless the message is there, and at no other time."""
        self._timer = asyncio.get_running_loop().call_later(seconds, look)

    def end(self, code: grpc.StatusCode, sentence: str, *told: tuple[str, str]) -> None:
        """End the call, and with it the reading; its client is told why."""
        # To cancel the reading is left to gRPC, which would write to where it was told to read.
        if self._ended is None:
            self._ended = asyncio.create_task(_end(self._context, code, sentence, told))

    async def result(self) -> Any:
        """Return the message, or raise what ended the call."""
        try:
            found = await self._context.read()
        except Exception:
            if self._ended is None:
                raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if self._ended is not None:
            raise await self._ended
        return found


async def _end(
    context: Any, code: grpc.StatusCode, sentence: str, told: tuple[tuple[str, str], ...]
) -> Exception:
    try:
        await context.abort(code, sentence, told)
    except Exception as ended:  # AbortError, or the client was gone
        return ended
    raise AssertionError("What is aborted raises.")


def decode(request: type[Any], data: Any) -> Any:
    """Read a message of a class.

    Raises
    ------
    ServiceError (400)
        If it is none, or there is none.
    TooLargeError
        If it has too many fields.
    """
    try:
        if data is not grpc.aio.EOF:
            if len(data) > WORTH_COUNTING:
                check_fields(request.DESCRIPTOR, data)
            return request.FromString(data)
    except (DecodeError, ValueError):
        pass
    name = request.DESCRIPTOR.name
    raise ServiceError(400, f"The message cannot be read; a {name} is accepted.")
