"""A worker's side: it tells how it is, answers what all are asked, and asks all."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Final, Protocol

import structlog

from service.errors import ServiceError, refusal_of
from service.workers.listener import OpenConnections
from service.workers.messages import (
    TO_WORKER,
    Answer,
    Answers,
    Ask,
    Beat,
    Counted,
    Elsewhere,
    End,
    FromWorker,
    Put,
    Question,
    Reading,
    Refused,
    Reply,
    State,
    ToWorker,
    encoded,
)

_LOOK_SECONDS: Final = 0.1
"""How soon a change of a worker's readiness is told."""

_BEAT_SECONDS: Final = 0.5
"""How often a worker gives a sign of life."""

_COUNT_SECONDS: Final = 1.0
"""How much of what a worker has counted is lost at most when it is killed."""

_REST: Final = 100
"""How much longer telling what was counted rests than it takes."""

WAIT_SECONDS: Final = 2.0
"""How long a worker that is busy otherwise is waited for, by those who can do without it."""

_BLOCK: Final = 2**18

log = structlog.get_logger()


class Serving(Protocol):
    """What a worker tells of itself."""

    async def answer(self, question: Question) -> bytes:
        """Answer a question; what is raised is a refusal."""

    def state(self) -> State:
        """Tell how it is."""

    def progress(self) -> int:
        """Return a number that grows with what is counted."""

    async def count(self) -> bytes:
        """Tell its metrics."""


class Member:
    """One worker among several. Its methods are called on the event loop.

    Parameters
    ----------
    number
        Which one.
    connection
        To the supervisor. It is closed by the end of the process alone, which says more.
    connections
        How many each worker has.
    unloaded
        Models that were unloaded by request before this worker was started.
    replaces
        Whether it stands for one that died, while the others go on.

    Attributes
    ----------
    elsewhere
        Why another worker is not ready; None if all are.
    end
        What is done when all workers are to end, given the number of a signal.
    """

    def __init__(
        self,
        number: int,
        connection: socket.socket,
        connections: OpenConnections,
        unloaded: frozenset[str] = frozenset(),
        *,
        replaces: bool = False,
    ) -> None:
        self.number, self.connections = number, connections
        self.unloaded, self.replaces = unloaded, replaces
        self.elsewhere: str | None = "The other workers are being started."
        self.end: Callable[[int], None] = signal.raise_signal
        self._connection = connection
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._asked: dict[int, asyncio.Future[list[Answer]]] = {}
        self._number = 0
        self._answering: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Give signs of life inside of the context: a worker that is silent for long is killed."""
        self._connection.setblocking(False)
        self._streams = await asyncio.open_connection(sock=self._connection.dup())
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    @asynccontextmanager
    async def open(self, serving: Serving) -> AsyncIterator[None]:
        """Be one of the workers inside of the context, which lies inside of `alive`."""
        reader, writer = self._opened
        tasks = [
            asyncio.create_task(self._read(reader, serving)),
            asyncio.create_task(self._tell(serving)),
        ]
        try:
            yield
        finally:
            for task in (*tasks, *self._answering):
                task.cancel()
            await asyncio.wait(tasks)
            self._send(Counted(await serving.count()))
            await writer.drain()

    async def ask(self, question: Question, seconds: float | None = None) -> list[Answer]:
        """Put a question to all workers, this one included.

        Parameters
        ----------
        seconds
            After which those that have not answered are left out; None waits for all.
        """
        self._number += 1
        number = self._number
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._send(Ask(number, question, seconds))
        try:
            return await self._asked[number]
        finally:
            del self._asked[number]

    async def everywhere(self, question: Question) -> None:
        """Have all workers do something.

        Raises
        ------
        ServiceError
            What one of them refused it with.
        """
        for answer in await self.ask(question):
            if answer.status:
                raise ServiceError(answer.status, answer.sentence)

    def refuse(self, sentence: str) -> None:
        """Say, before the event loop runs or after it, why this worker cannot start."""
        self._connection.setblocking(True)
        with suppress(OSError):
            self._connection.sendall(encoded(Refused(sentence)))

    @property
    def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            raise RuntimeError("The worker has not been opened.")
        return self._streams

    def _send(self, message: FromWorker) -> None:
        self._opened[1].write(encoded(message))

    async def _beat(self) -> None:
        while True:
            self._send(Beat())
            await asyncio.sleep(_BEAT_SECONDS)

    async def _read(self, reader: asyncio.StreamReader, serving: Serving) -> None:
        reading = Reading()
        while data := await reader.read(_BLOCK):
            for message in map(TO_WORKER.decode, reading.take(data)):
                self._take(message, serving)
        log.error("the supervisor is gone")
        self.end(signal.SIGTERM)

    def _take(self, message: ToWorker, serving: Serving) -> None:
        if isinstance(message, Put):
            # Tasks begin in the order in which they are made, and changes wait for one another.
            task = asyncio.create_task(self._answer(message, serving))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif isinstance(message, Answers):
            waiting = self._asked.get(message.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(message.answers)
        elif isinstance(message, Elsewhere):
            self.elsewhere = message.unready
        elif isinstance(message, End):
            self.end(message.signal)

    async def _answer(self, put: Put, serving: Serving) -> None:
        try:
            found = Answer(await serving.answer(put.question))
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.exception("a question of another worker failed")
            found = Answer(status=refusal.status, sentence=refusal.sentence)
        self._send(Reply(put.number, found))

    async def _tell(self, serving: Serving) -> None:
        told: State | None = None
        counted, due = -1, 0.0
        while True:
            if (now := serving.state()) != told:
                self._send(now)
                told = now
            began = time.monotonic()
            if began >= due and (progress := serving.progress()) != counted:
                self._send(Counted(await serving.count()))
                ended = time.monotonic()
                counted, due = progress, ended + min(_COUNT_SECONDS, _REST * (ended - began))
            await asyncio.sleep(_LOOK_SECONDS)
