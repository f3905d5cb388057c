"""Connections to one listening socket are shared by those who accept from it."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import uvicorn

from service.http.connection import protocol
from service.server import _Server
from service.workers.listener import OpenConnections, SharedListener
from tests.waiting import LIMIT, until

pytestmark = pytest.mark.anyio

BURST = 32


Listen = Callable[[OpenConnections, int], tuple[SharedListener, "list[Taken]"]]


class Taken(asyncio.Protocol):
    """Stands for a connection of uvicorn's."""

    def __init__(self, taken: list["Taken"]) -> None:
        self._taken, self.ended = taken, False

    def connection_made(self, transport: Any) -> None:
        self._taken.append(self)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._taken.remove(self)

    def shutdown(self) -> None:
        self.ended = True
        self.transport.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=2 * BURST) as found:
        yield found


@pytest.fixture
def listen(listening: socket.socket) -> Iterator[Listen]:
    """Each listener has the socket by a number of its own, as if it were in another process."""
    with ExitStack() as stack:

        def begin(connections: OpenConnections, worker: int) -> tuple[SharedListener, list[Taken]]:
            taken: list[Taken] = []
            listener = SharedListener(
                [stack.enter_context(listening.dup())],
                connections,
                worker,
                lambda: len(taken),
                lambda: Taken(taken),  # type: ignore[arg-type, return-value]
            )
            return listener, taken

        yield begin


def connect(listening: socket.socket, count: int = BURST) -> list[socket.socket]:
    return [socket.create_connection(listening.getsockname()) for _ in range(count)]


async def test_a_burst_is_shared_evenly(listening: socket.socket, listen: Listen) -> None:
    connections = OpenConnections(3)
    workers = [listen(connections, worker) for worker in range(2)]
    clients = connect(listening)
    await until(lambda: sum(len(taken) for _, taken in workers) == BURST)
    assert [len(taken) for _, taken in workers] == [BURST // 2] * 2
    for client in clients:
        client.close()
    await close(workers)


async def test_who_has_fewer_takes_what_comes_and_who_is_busy_is_not_waited_for(
    listening: socket.socket, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.workers.listener._MOMENT", 0.1)
    connections = OpenConnections(2)
    workers = [listen(connections, 0)]
    connections.tell(1, 0)  # but it does nothing
    clients = connect(listening, 2)
    await until(lambda: len(workers[0][1]) == 2)
    workers.append(listen(connections, 1))
    clients += connect(listening, 2)
    await until(lambda: len(workers[1][1]) == 2)
    assert len(workers[0][1]) == 2
    for client in clients:
        client.close()
    await close(workers)


async def test_what_is_taken_while_it_is_closed_is_told_to_end(
    listening: socket.socket, listen: Listen
) -> None:
    connections = OpenConnections(1)
    listener, taken = listen(connections, 0)
    (client,) = connect(listening, 1)
    async with asyncio.timeout(LIMIT):
        while not listener._made:  # noqa: ASYNC110
            await asyncio.sleep(0)  # every turn: it is there for a few
    listener.close()
    await listener.wait_closed()
    assert all(each.ended for each in taken)
    await until(lambda: not taken)
    assert client.recv(1) == b""
    client.close()


async def close(workers: list[tuple[SharedListener, list[Taken]]]) -> None:
    for listener, taken in workers:
        listener.close()
        await listener.wait_closed()
        await until(lambda taken=taken: not taken)  # type: ignore[misc]


class Exhausted(socket.socket):
    """A socket whose first connections cannot be taken, since too many files are open."""

    tried = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.tried += 1
        if self.tried < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_one_worker_too_lets_clients_wait_while_no_file_may_be_open_and_says_so(
    listening: socket.socket, logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.workers.listener._PAUSE", 0.01)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    config = uvicorn.Config(app, http=protocol(10), lifespan="off", log_config=None)
    server = _Server(config, None)
    serving = asyncio.create_task(server.serve([Exhausted(fileno=listening.dup().detach())]))
    host, port = listening.getsockname()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://{host}:{port}/")).status_code == 204
    server.should_exit = True
    await serving
    told = [each for each in logged() if each["event"] == "no connection can be taken"]
    assert [each["reason"] for each in told] == ["Too many open files"] * 2
