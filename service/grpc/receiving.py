"""The messages of a call, each received within bounds of time and memory.

gRPC hands a method its one message when all of it has come, however long that takes, and holds what
has come until then, also of a client that has no key. A method that takes a stream reads its
messages itself; so all methods here take one, and clients do not see the difference. What gRPC's
table of status codes asks of a call with no message or several, which gRPC for Python does not
heed, is done here too.
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

    async def read(
        self, context: Any, arrived: Callable[[int], None], *, of_many: bool = False
    ) -> Any:
        """Receive the one message of a call, and that no other comes behind it.

        Parameters
        ----------
        arrived
            Told how many bytes a message has, before anything else is waited for; what it raises
            is raised.
        of_many
            Receive the next message of a call that may have any number, `grpc.aio.EOF` behind the
            last. It is not waited for at the end of the service.

        Raises
        ------
        grpc.aio.AbortError
            If it was not there in time, too many others are not, or it is not the only one. The
            client has been told so.
        asyncio.CancelledError
            If the client cancelled the call before it had sent it.
        """
        reading = _Reading(context)
        # Looked for twice: where the event loop was held up, what has come may not be read yet.
        if self._seconds > SOON:
            reading.after(SOON / 2, lambda: reading.after(SOON / 2, partial(self._count, reading)))
        else:
            reading.after(self._seconds, partial(self._end_late, reading))
        if of_many:
            self._between.add(reading)
            if self._ending:  # which came between an answer and this
                reading.end(grpc.StatusCode.UNAVAILABLE, _ENDING)
        try:
            found = await reading.next()
            if found is not grpc.aio.EOF:
                arrived(len(found))
            return found if of_many else await self._only(found, reading, context)
        finally:
            reading.close()
            self._slow -= reading.slow
            self._between.discard(reading)

    async def _only(self, found: Any, reading: "_Reading", context: Any) -> Any:
        if found is not grpc.aio.EOF and await reading.next() is grpc.aio.EOF:
            return found
        reading.close()
        if found is grpc.aio.EOF:
            await asyncio.sleep(_TOLD)  # which a cancelled call does not outlive
        count = "no message" if found is grpc.aio.EOF else "several messages"
        return await context.abort(
            grpc.StatusCode.UNIMPLEMENTED, f"The call has {count}; exactly one is accepted."
        )

    async def receive(self, context: Any, request: type[Any], *, of_many: bool = False) -> Any:
        """Receive a message, as `read` does, of a call that only tells something; None for no more.

        Raises
        ------
        grpc.aio.AbortError
            As `read`, or if it is long or cannot be read. The client has been told so.
        """
        try:
            data = await self.read(context, _check_length, of_many=of_many)
            return None if data is grpc.aio.EOF else decode(request, data)
        except ServiceError as fault:
            return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault.sentence)

    async def receive_all(self, context: Any, request: type[Any]) -> AsyncIterator[Any]:
        """Receive all messages of such a call, each as `receive` does."""
        while (sent := await self.receive(context, request, of_many=True)) is not None:
            yield sent

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
            "The message, or the end behind it, did not arrive in time; all of it within "
            f"{self._seconds:g} s is accepted.",
        )

    def end(self) -> None:
        """Wait for no message any more of calls that may have any number."""
        self._ending = True
        for reading in tuple(self._between):
            reading.end(grpc.StatusCode.UNAVAILABLE, _ENDING)


class _Reading:
    """The reading of a message, and of what is behind it, which may be ended from outside.

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

    async def next(self) -> Any:
        """Return the next message, `grpc.aio.EOF` behind the last, or raise what ended the call."""
        try:
            found = await self._context.read()
        except Exception:
            if self._ended is None:
                raise
        if self._ended is not None:
            raise await self._ended
        return found

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()


async def _end(
    context: Any, code: grpc.StatusCode, sentence: str, told: tuple[tuple[str, str], ...]
) -> Exception:
    try:
        await context.abort(code, sentence, told)
    except Exception as ended:  # AbortError, or the client was gone
        return ended
    raise AssertionError("What is aborted raises.")


def _check_length(length: int) -> None:
    """Refuse a question that is long: it would be held beside what comes behind it."""
    if length > WORTH_COUNTING:
        raise ServiceError(
            400, f"The message has {length} bytes; at most {WORTH_COUNTING} are accepted."
        )


def decode(request: type[Any], data: bytes) -> Any:
    """Read a message of a class.

    Raises
    ------
    ServiceError (400)
        If it is none.
    TooLargeError
        If it has too many fields.
    """
    try:
        if len(data) > WORTH_COUNTING:
            check_fields(request.DESCRIPTOR, data)
        return request.FromString(data)
    except (DecodeError, ValueError):
        name = request.DESCRIPTOR.name
        raise ServiceError(400, f"The message cannot be read; a {name} is accepted.") from None
