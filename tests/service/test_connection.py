"""The protocol under the application: whole answers, what a request sees of others, idle ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.connection import Wire, protocol
from tests.service.engine.test_batcher import until

pytestmark = pytest.mark.anyio

_REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
_HEAD = [(b"content-length", b"6")]
_ANSWER = b"HTTP/1.1 200 OK\r\nserver: test\r\ncontent-length: 6\r\n\r\nanswer"

Handler = Callable[[Any, Any, Any], Any]
Connect = Callable[[], Any]


@asynccontextmanager
async def listening(handle: Handler, keep_alive: float = 5.0) -> AsyncIterator[Connect]:
    """Serve an ASGI application on a port of its own; yields what opens a connection to it."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(handle, http=protocol(5.0), lifespan="off", log_config=None)
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment]
    config.load()
    state = ServerState()
    state.default_headers = [(b"server", b"test")]
    make: Callable[..., asyncio.Protocol] = config.http_protocol_class
    server = await loop.create_server(
        lambda: make(config=config, server_state=state, app_state={}),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    try:
        yield connect
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await until(lambda: not state.connections)


async def at_once(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    wire = Wire.of(scope)
    assert wire is not None
    assert wire.answer(_HEAD, b"answer")
    assert not wire.answer(_HEAD, b"answer")


async def by_asgi(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await answer_by_asgi(send)


async def answer_by_asgi(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
    await send({"type": "http.response.body", "body": b"answer"})


@pytest.mark.parametrize("handle", [at_once, by_asgi])
async def test_a_whole_answer_is_on_the_wire_what_asgi_would_write(handle: Handler) -> None:
    async with listening(handle) as connect:
        reader, writer = await connect()
        for _ in range(3):
            writer.write(_REQUEST)
            assert await asyncio.wait_for(reader.readexactly(len(_ANSWER)), 5) == _ANSWER


async def test_requests_in_a_row_are_answered_in_their_order() -> None:
    order = []

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        order.append(body)
        await asyncio.sleep(0.02 if body == b"slow" else 0)
        wire = Wire.of(scope)
        assert wire is not None
        assert wire.answer([(b"content-length", b"4")], body)

    async with listening(handle) as connect:
        reader, writer = await connect()
        writer.write(b"".join(_REQUEST.replace(b"body", body) for body in (b"slow", b"fast")))
        received = b""
        while received.count(b"HTTP/1.1 200") < 2 or not received.endswith(b"fast"):
            received += await asyncio.wait_for(reader.read(1000), 5)
    assert order == [b"slow", b"fast"]
    assert received.index(b"slow") < received.index(b"fast")


async def test_what_asgi_has_begun_or_must_close_is_not_written_at_once() -> None:
    taken = []

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        wire = Wire.of(scope)
        assert wire is not None
        taken.append(wire.answer(_HEAD, b"answer"))
        await answer_by_asgi(send)

    async with listening(handle) as connect:
        reader, writer = await connect()
        writer.write(_REQUEST.replace(b"host: x", b"host: x\r\nconnection: close"))
        received = await asyncio.wait_for(reader.read(), 5)
    assert taken == [False]
    assert b"connection: close" in received
    assert received.endswith(b"\r\n\r\nanswer")


async def test_each_of_those_that_come_at_once_sees_that_it_is_not_alone() -> None:
    seen = []

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        wire = Wire.of(scope)
        assert wire is not None
        seen.append(len(wire.under_way))
        await by_asgi(scope, receive, send)

    async with listening(handle) as connect:
        clients = [await connect() for _ in range(3)]
        for together in (clients[:1], clients, clients[:1]):
            for _, writer in together:  # no await between them: all arrive before any is read
                writer.write(_REQUEST)
            for reader, _ in together:
                await asyncio.wait_for(reader.readexactly(len(_ANSWER)), 5)
            await asyncio.sleep(0.01)
    assert seen == [1, 3, 3, 3, 1]


async def test_an_idle_connection_is_closed_and_one_in_use_is_not() -> None:
    async with listening(at_once, keep_alive=0.3) as connect:
        reader, writer = await connect()
        loop = asyncio.get_running_loop()
        for _ in range(5):  # longer than it may be idle, and never idle for that long
            writer.write(_REQUEST)
            await asyncio.wait_for(reader.readexactly(len(_ANSWER)), 5)
            await asyncio.sleep(0.1)
        began = loop.time()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert 0.1 < loop.time() - began < 3


async def test_a_request_that_takes_longer_than_a_connection_may_be_idle_is_answered() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await asyncio.sleep(0.3 if body == b"slow" else 0)
        await answer_by_asgi(send)

    async with listening(slow, keep_alive=0.1) as connect:
        reader, writer = await connect()
        writer.write(_REQUEST)
        await asyncio.wait_for(reader.readexactly(len(_ANSWER)), 5)
        writer.write(_REQUEST.replace(b"body", b"slow"))
        assert await asyncio.wait_for(reader.readexactly(len(_ANSWER)), 5) == _ANSWER
        assert await asyncio.wait_for(reader.read(), 5) == b""  # and is idle again
