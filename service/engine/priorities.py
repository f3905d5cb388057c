"""What a graph runs beside requests: audits, which take turns with them, and idle work.

Nothing here locks, computes or knows the time: the batcher does.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import structlog

from artifact.contract import Images
from service.engine.errors import EngineError
from service.engine.observer import Priority
from service.engine.queue import Compute, Inference

_PATIENCE = 8  # batches of requests that an audit lets pass before it takes one turn

IdleDrop = Literal["full", "expired", "failed", "down"]
"""Why idle work is not done: too much waits, it has waited too long, its graph or its
own code failed, or the engine had crashed or was ending."""

log = structlog.get_logger()


class Task(Protocol):
    """One run of a graph that is no batch of requests; times are the batcher's."""

    @property
    def priority(self) -> Priority:
        """Where it waits."""

    @property
    def since(self) -> float:
        """When it came."""

    def run(self) -> int:
        """Run it, and return over how many images."""

    def fail(self, error: EngineError) -> None:
        """Tell whoever is concerned that it failed."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One batch of an audit; its graph may be another than that of the requests."""

    priority: ClassVar[Priority] = "audit"

    compute: Compute
    images: Images
    since: float
    future: Future[Inference]

    def run(self) -> int:
        """Give the answer to the thread that waits for it."""
        self.future.set_result(self.compute([self.images]))
        return len(self.images)

    def fail(self, error: EngineError) -> None:
        """Raise the error in the thread that waits."""
        self.future.set_exception(error)


class AuditQueue:
    """Batches of audits: they are served when no request waits, and now and then all the same."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._passed = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Put a job behind the others."""
        self._jobs.append(job)

    def take(self, requests_wait: bool) -> Job | None:
        """Return the job whose turn it is, if it is any job's."""
        if not self._jobs:
            return None
        if requests_wait and self._passed < _PATIENCE:
            self._passed += 1
            return None
        self._passed = 0
        return self._jobs.popleft()

    def clear(self) -> list[Job]:
        """Take all jobs out."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs


class IdleWork(Protocol):
    """Work that no one waits for. All but `dropped` is called on the inference thread."""

    def images(self) -> Images:
        """Return images [N, C, H, W], N at most that of a batch, to run the graph over."""

    def ran(self, result: Inference) -> None:
        """Take what the graph says about them."""

    def dropped(self, reason: IdleDrop, error: Exception | None = None) -> None:
        """Note that it is not done, on any thread, as quickly as a counter."""


@dataclass(frozen=True, slots=True, eq=False)
class IdleTask:
    """Idle work, and the graph that it is for."""

    priority: ClassVar[Priority] = "idle"

    work: IdleWork
    compute: Compute
    since: float

    def run(self) -> int:
        """Let the work have its answer."""
        images = self.work.images()
        self.work.ran(self.compute([images]))
        return len(images)

    def fail(self, error: EngineError) -> None:
        """Tell the work."""
        self.drop("failed", error)

    def drop(self, reason: IdleDrop, error: Exception | None = None) -> None:
        """Tell the work that it is not done; what it raises then goes no further."""
        try:
            self.work.dropped(reason, error)
        except Exception as failure:
            log.error("idle work could not be dropped", exc_info=failure)


class IdleQueue:
    """Tasks that run when nothing else is there to be run; few may wait, and not for long.

    A task cannot be interrupted. What keeps requests from noticing is that tasks run for a small
    part of the time: of requests that come at random no larger part finds one running.

    Parameters
    ----------
    part
        The largest part of the time for which tasks run, above 0 and at most 1.
    capacity
        How many may wait.
    patience
        How long one may, in seconds.
    lull
        How long after the last batch of requests the first runs, in seconds: until then the
        processors are busy with its answers.
    """

    def __init__(
        self,
        part: float = 1.0,
        capacity: int = 64,
        patience: float = 10.0,
        lull: float = 0.001,
    ) -> None:
        self._part, self._capacity, self._patience, self._lull = part, capacity, patience, lull
        self._tasks: deque[IdleTask] = deque()
        self._rested_at = self._quiet_at = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    def has_room(self, now: float) -> bool:
        """Return whether one more may wait, once what has waited for too long is taken out."""
        return len(self._tasks) < self._capacity or self._late(now)

    def add(self, task: IdleTask) -> bool:
        """Put a task behind the others, if one more may wait; return whether it may."""
        if len(self._tasks) >= self._capacity:
            return False
        self._tasks.append(task)
        return True

    def served(self, now: float) -> None:
        """Note that a batch of requests has just been run."""
        self._quiet_at = now + self._lull

    def ran(self, seconds: float, now: float) -> None:
        """Note that a task has just been run, and how long that took."""
        self._rested_at = now + seconds * (1 / self._part - 1)

    def rest(self, now: float) -> float | None:
        """Return the seconds until tasks have rested from the last one, None if none waits."""
        return max(0.0, self._rested_at - now) if self._tasks else None

    def pause(self, now: float) -> float | None:
        """Return the seconds until a task may run, 0 if one may now, None if none waits."""
        return max(0.0, self._rested_at - now, self._quiet_at - now) if self._tasks else None

    def expire(self, now: float) -> Sequence[IdleTask]:
        """Take out what has waited for too long."""
        late = []
        while self._tasks and self._late(now):
            late.append(self._tasks.popleft())
        return late

    def take(self) -> IdleTask | None:
        """Return the first task, if there is any."""
        return self._tasks.popleft() if self._tasks else None

    def clear(self) -> Sequence[IdleTask]:
        """Take all tasks out."""
        tasks = list(self._tasks)
        self._tasks.clear()
        return tasks

    def _late(self, now: float) -> bool:
        return self._tasks[0].since + self._patience < now
