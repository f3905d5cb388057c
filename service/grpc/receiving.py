"""The messages of a call, each received within a bound of time.

gRPC hands a method its one message when all of it has come, however long that takes, and holds what
has come until then, also of a client that has no key. A method that takes a stream reads its
messages itself; so all methods here take one, and clients do not see the difference.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from service.errors import ServiceError


async def read(context: Any, seconds: float) -> Any:
    """Receive the next message of a call; `grpc.aio.EOF` behind the last.

    Raises
    ------
    grpc.aio.AbortError
        If it was not there in time. The client has been told so.
    """
    # To cancel the reading is left to gRPC, which would write to where it was told to read: the
    # call is ended, and with it the reading.
    late: list[asyncio.Task[Exception]] = []
    timer = asyncio.get_running_loop().call_later(
        seconds, lambda: late.append(asyncio.create_task(_end(context, seconds)))
    )
    try:
        found = await context.read()
    except Exception:
        if not late:
            raise
    finally:
        timer.cancel()
    if late:
        raise await late[0]
    return found


async def _end(context: Any, seconds: float) -> Exception:
    sentence = f"The message did not arrive in time; all of it within {seconds:g} s is accepted."
    try:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, sentence)
    except Exception as ended:  # AbortError, or the client was gone
        return ended
    raise AssertionError("What is aborted raises.")


def decode(request: type[Any], data: Any) -> Any:
    """Read a message of a class.

    Raises
    ------
    ServiceError (400)
        If it is none, or there is none.
    """
    try:
        if data is not grpc.aio.EOF:
            return request.FromString(data)
    except DecodeError:
        pass
    name = request.DESCRIPTOR.name
    raise ServiceError(400, f"The message cannot be read; a {name} is accepted.")


async def receive(context: Any, seconds: float, request: type[Any]) -> Any:
    """Receive the one message of a call that only tells something.

    Raises
    ------
    grpc.aio.AbortError
        If it was not there in time, or cannot be read. The client has been told so.
    """
    return await _decode(context, request, await read(context, seconds))


async def receive_all(context: Any, seconds: float, request: type[Any]) -> AsyncIterator[Any]:
    """Receive the messages of such a call, each within so many seconds, as `receive` does."""
    while (data := await read(context, seconds)) is not grpc.aio.EOF:
        yield await _decode(context, request, data)


async def _decode(context: Any, request: type[Any], data: Any) -> Any:
    try:
        return decode(request, data)
    except ServiceError as fault:
        return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault.sentence)
