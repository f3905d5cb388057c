"""Questions that are put to all workers, until each has answered, died, or had its time."""

import math
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from service.metrics import families
from service.workers.channel import Channel
from service.workers.messages import (
    Answer,
    Answers,
    Ask,
    Count,
    Load,
    Poll,
    Put,
    Question,
    Reply,
    Unload,
)

_DIED: Final = Answer(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    sentence="A worker of the service ended before it had done that; ask again.",
)


@dataclass(eq=False)
class Worker:
    """A process that serves, as its supervisor knows it.

    Attributes
    ----------
    number
        Which of the workers it is; one that replaces it has its number.
    heard
        Whether it has said anything yet: what is said to it is read from then on.
    started
        Whether everything that was there at its start is loaded or refused.
    unready
        Why no requests should be sent to it.
    told
        What it was last told of the others; nothing at first.
    counted
        Its metrics as they were last told.
    refused
        Why it cannot start as it is configured.
    silent
        Seconds since it gave a sign of life, as `service.workers.silence` counts them.
    """

    number: int
    pid: int
    channel: Channel
    began: float = field(default_factory=time.monotonic)
    heard: bool = False
    started: bool = False
    unready: str | None = "it is being started."
    told: str | None = ""
    counted: bytes = b""
    refused: str | None = None
    silent: float = 0.0


@dataclass(eq=False)
class _Round:
    asker: Worker | None
    number: int
    question: Question
    waiting: set[Worker]
    deadline: float
    answers: list[Answer] = field(default_factory=list)


class Questions:
    """All that is asked.

    Attributes
    ----------
    workers
        Those that live.
    restarts
        How often one was started again.
    """

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.restarts = 0
        self._rounds: dict[int, _Round] = {}
        self._number = 0
        self._changed: dict[str, tuple[int, bool]] = {}
        self._kept: families.Snapshot = []

    @property
    def unloaded(self) -> frozenset[str]:
        """Names of the models that were unloaded by request."""
        return frozenset(name for name, (_, gone) in self._changed.items() if gone)

    @property
    def deadline(self) -> float:
        """When one of them has to be answered next, by `time.monotonic`."""
        return min((each.deadline for each in self._rounds.values()), default=math.inf)

    def join(self, worker: Worker) -> None:
        """Take in a worker that was just started, and have it make the changes that go on.

        At its start it is told of those alone that some worker has made.
        """
        self.workers.append(worker)
        for number, found in self._rounds.items():
            if isinstance(found.question, Load | Unload):
                found.waiting.add(worker)
                worker.channel.send(Put(number, found.question))

    def ask(self, asker: Worker, asked: Ask) -> None:
        """Put a worker's question to all."""
        deadline = math.inf if asked.seconds is None else time.monotonic() + asked.seconds
        self._put(_Round(asker, asked.number, asked.question, set(self.workers), deadline))

    def poll(self) -> None:
        """Have all look at the repository."""
        self._put(_Round(None, 0, Poll(), set(self.workers), math.inf))

    def answered(self, worker: Worker, reply: Reply) -> None:
        """Take a worker's answer."""
        found = self._rounds.get(reply.number)
        if found is None:
            return
        if isinstance(found.question, Count):
            worker.counted = reply.answer.content
        elif isinstance(found.question, Load | Unload):
            self._note(reply.number, found.question, reply.answer)
        found.answers.append(reply.answer)
        self._done_by(worker, reply.number, found)

    def died(self, worker: Worker) -> None:
        """Go on without a worker: what it has counted is kept, and no change is said to be done."""
        self.workers.remove(worker)
        counted = families.lasting(families.read(worker.counted))
        self._kept = families.merged([self._kept, counted])
        for number, found in tuple(self._rounds.items()):
            if found.asker is worker:
                found.asker = None
            if worker in found.waiting:
                if isinstance(found.question, Load | Unload):
                    found.answers.append(_DIED)
                self._done_by(worker, number, found)

    def expire(self) -> None:
        """Answer what has waited for long enough with what there is."""
        now = time.monotonic()
        for number, found in tuple(self._rounds.items()):
            if found.deadline <= now:
                self._end(number, found)

    def _put(self, asked: _Round) -> None:
        self._number += 1
        self._rounds[self._number] = asked
        for worker in asked.waiting:
            worker.channel.send(Put(self._number, asked.question))

    def _note(self, number: int, question: Load | Unload, answer: Answer) -> None:
        """Remember which models a worker that is started later must not load."""
        before, _ = self._changed.get(question.name, (0, False))
        if number >= before and answer.status != HTTPStatus.NOT_FOUND:
            self._changed[question.name] = number, isinstance(question, Unload)

    def _done_by(self, worker: Worker, number: int, found: _Round) -> None:
        found.waiting.discard(worker)
        if not found.waiting:
            self._end(number, found)

    def _end(self, number: int, found: _Round) -> None:
        del self._rounds[number]
        if found.asker is not None:
            counting = isinstance(found.question, Count)
            answers = self._counted() if counting else found.answers
            found.asker.channel.send(Answers(found.number, answers))

    def _counted(self) -> list[Answer]:
        """Return the metrics of all that live, as last told, and of all that died."""
        told = [each.counted for each in self.workers if each.counted]
        if self._kept and (there := families.models_in(map(families.read, told))):
            self._kept = families.without_models(self._kept, there)
        restarts = families.snapshot_of([families.restarts(self.restarts)])
        own = families.written([*self._kept, *restarts])
        return [Answer(content) for content in (*told, own)]
