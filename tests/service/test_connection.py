"""The protocol under the application: whole answers, what a request sees of others, idle ends."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.http.connection import protocol
from service.http.transport import Transport
from tests.waiting import until

pytestmark = pytest.mark.anyio

_REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
_HEAD = [(b"content-length", b"6")]
_ANSWER = b"HTTP/1.1 200 OK\r\nserver: test\r\ncontent-length: 6\r\n\r\nanswer"

Handler = Callable[[Any, Any, Any], Any]
Connect = Callable[[], Any]


listens: list[ServerState] = []


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Any]:
    """Let the event loop's clock jump, and what is due happen."""
    ahead = 0.0

    async def jump(seconds: float) -> None:
        nonlocal ahead
        loop = asyncio.get_running_loop()
        if not ahead:
            monkeypatch.setattr(loop, "time", lambda: time.monotonic() + ahead)
        ahead += seconds
        await turns(5)

    return jump


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(
    handle: Handler, keep_alive: float = 5.0, receive_seconds: float = 5.0
) -> AsyncIterator[Connect]:
    """Serve an ASGI application on a port of its own; yields what opens a connection to it."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(handle, http=protocol(receive_seconds), lifespan="off", log_config=None)
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
    listens.append(state)
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
        listens.remove(state)


async def at_once(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    wire = Transport.of(scope)
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
        await turns(50 if body == b"slow" else 0)
        wire = Transport.of(scope)
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
        wire = Transport.of(scope)
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
    seen, under_way = [], []

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        wire = Transport.of(scope)
        assert wire is not None
        under_way[:] = [wire.under_way]
        seen.append(len(wire.under_way))
        await by_asgi(scope, receive, send)

    async with listening(handle) as connect:
        clients = [await connect() for _ in range(3)]
        for together in (clients[:1], clients, clients[:1]):
            for _, writer in together:  # no await between them: all arrive before any is read
                writer.write(_REQUEST)
            for reader, _ in together:
                await asyncio.wait_for(reader.readexactly(len(_ANSWER)), 5)
            await until(lambda: not under_way[0])
    assert seen == [1, 3, 3, 3, 1]


async def test_an_idle_connection_is_closed_and_one_in_use_is_not(advance: Any) -> None:
    async with listening(at_once, keep_alive=100, receive_seconds=1000) as connect:
        reader, writer = await connect()
        for _ in range(5):  # longer than it may be idle, and never idle for that long
            writer.write(_REQUEST)
            assert await reader.readexactly(len(_ANSWER)) == _ANSWER
            await advance(60)
        await advance(30)
        assert not reader.at_eof()
        await advance(20)
        assert await asyncio.wait_for(reader.read(), 50) == b""


async def test_a_request_that_takes_longer_than_a_connection_may_be_idle_is_answered(
    advance: Any,
) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if (await receive())["body"] == b"slow":
            await advance(300)
        await answer_by_asgi(send)

    async with listening(slow, keep_alive=100, receive_seconds=1000) as connect:
        reader, writer = await connect()
        writer.write(_REQUEST)
        assert await reader.readexactly(len(_ANSWER)) == _ANSWER
        writer.write(_REQUEST.replace(b"body", b"slow"))
        assert await reader.readexactly(len(_ANSWER)) == _ANSWER
        await advance(110)
        assert await asyncio.wait_for(reader.read(), 50) == b""  # and is idle again


async def test_nothing_is_read_while_requests_wait() -> None:
    """Memory is bounded by what is begun, however much a client sends and whatever it reads."""
    may_answer = asyncio.Event()
    begun = 0

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        nonlocal begun
        begun += 1
        watched = asyncio.ensure_future(receive_twice(receive))  # as one looks for a hang-up
        await may_answer.wait()
        watched.cancel()
        await answer_by_asgi(send)

    async with listening(handle) as connect:
        reader, writer = await connect()
        count, body = 1000, b"b" * 4000
        request = _REQUEST.replace(b"4", b"4000").replace(b"body", body)
        sent = asyncio.ensure_future(send_all(writer, request, count))
        await until(lambda: begun == 1)
        connection = next(iter(connections()))
        await unchanging(lambda: len(connection.pipeline))
        assert 0 < len(connection.pipeline) < 500
        assert len(connection._held) < 2**19
        may_answer.set()
        received = 0
        while received < count * len(_ANSWER):
            received += len(await asyncio.wait_for(reader.read(2**20), 30))
        await sent
    assert begun == count
    assert received == count * len(_ANSWER)


async def receive_twice(receive: Any) -> None:
    await receive()
    await receive()


async def send_all(writer: asyncio.StreamWriter, request: bytes, count: int) -> None:
    for _ in range(count // 100):
        writer.write(request * 100)
        await writer.drain()


def connections() -> list[Any]:
    """The connections of the server that listens."""
    return [*listens[-1].connections]


async def unchanging(value: Callable[[], object]) -> None:
    """Wait until a value stays what it is while the event loop, which runs both ends, turns."""
    before, same = value(), 0
    while same < 500:
        await asyncio.sleep(0)
        before, same = value(), same + 1 if value() == before else 0


async def test_a_client_that_takes_nothing_of_its_answer_is_hung_up_on() -> None:
    ended = asyncio.Event()

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
        ended.set()

    async with listening(handle, receive_seconds=0.2) as connect:
        _, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(_REQUEST)
        await asyncio.wait_for(ended.wait(), 10)  # what is sent to nobody is dropped


@pytest.mark.parametrize(("pause", "served"), [(1, True), (8, False)])
async def test_a_client_that_reads_slowly_gets_its_whole_answer_but_not_for_ever(
    advance: Any, pause: float, served: bool
) -> None:
    """In 40 s it has to take a tenth, 13 of these blocks: else a byte a time would keep it all."""
    size = 2**23

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        head = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": bytes(size)})

    async with listening(handle, receive_seconds=40) as connect:
        reader, writer = await connect()
        await until(connections)
        for transport in (writer.transport, connections()[0].transport):
            for kind in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # or the kernel would take it all
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, kind, 2**16)
        writer.write(_REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        received = reads = 0
        with suppress(ConnectionResetError):
            while block := await reader.read(2**16) if received < size else b"":
                received, reads = received + len(block), reads + 1
                await advance(pause)
    assert (received == size) == served
    assert (reads > 120) == served  # thrice what it may be without taking any


async def test_a_hang_up_is_told_to_the_request_that_is_worked_on() -> None:
    """And not only to the last of those that were sent with it."""
    told = asyncio.Event()

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if (await receive())["type"] == "http.disconnect":
            told.set()

    async with listening(handle) as connect:
        _, writer = await connect()
        writer.write(_REQUEST * 2)
        await until(lambda: any(connection.pipeline for connection in connections()))
        writer.transport.abort()
        # A connection that is not read from shows its end when it is written to, or here.
        for connection in connections():
            if connection.pipeline:
                connection.transport.abort()
        await asyncio.wait_for(told.wait(), 5)
