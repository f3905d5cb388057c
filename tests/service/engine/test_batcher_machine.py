"""Whatever comes, goes, fails or crashes in whatever order: nothing accepted is lost or mixed up.

The batcher is stepped by hand, with a clock of its own, so every run can be repeated. Each image is
a number, and its answer is that number: an answer that is not the request's own shows.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from artifact.contract import Images
from service.engine import (
    ComputeError,
    DeadlineError,
    EngineDownError,
    Inference,
    Limits,
    QueueFullError,
)
from service.engine.batcher import Batcher

LARGEST, WAITING = 4, 12
HOUR = 3600.0  # deadlines are hours of the batcher's clock, so that no real timer fires


class PoisonedError(ValueError):
    """A graph that fails on one of its images."""


class CrashError(BaseException):
    """What no `except Exception` catches."""


@dataclass(eq=False)
class Sent:
    """A request that was accepted, and what is known of it from outside."""

    numbers: list[int]
    deadline: float | None
    task: asyncio.Task[Inference]
    poisoned: bool
    computed: int = 0
    cancelled: bool = False
    crashed: bool = False
    late: bool = False

    @property
    def failed(self) -> bool:
        return self.poisoned and self.computed > 0

    @property
    def settled(self) -> bool:
        """Whether it is out of the queue for a reason that takes effect at once."""
        done = self.computed == len(self.numbers)
        return done or self.cancelled or self.crashed or self.failed

    @property
    def left(self) -> int:
        """Rows that wait; those of a late request do until its turn comes."""
        gone = self.settled or (self.late and self.task.done())
        return 0 if gone else len(self.numbers) - self.computed


class BatcherMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.count = 0
        self.sent: list[Sent] = []
        self.draining = False
        self.crashing = self.down = False
        self.failing_probes = 0
        self.violations: list[Exception] = []
        self.failed: set[int] = set()
        self.meanwhile: list[Callable[[], None]] = []
        self.batcher = Batcher(
            self.compute,
            self.probe,
            Limits(LARGEST, WAITING),
            clock=lambda: self.now,
            retry_seconds=0,
        )
        self.batcher._deadlines._seconds = HOUR  # what is late is found when its turn comes

    # What the batcher runs.

    def compute(self, parts: Sequence[Images]) -> Inference:
        try:
            return self.checked_compute(parts)
        except (PoisonedError, CrashError):
            raise
        except Exception as violation:  # the batcher would take it for a failing graph
            self.violations.append(violation)
            raise

    def checked_compute(self, parts: Sequence[Images]) -> Inference:
        numbers = [int(number) for part in parts for number in part.view(np.uint32).ravel()]
        assert 1 <= len(numbers) <= LARGEST
        members = [sent for sent in self.sent if set(sent.numbers) & set(numbers)]
        if set(numbers) <= self.failed:  # one request of a batch that failed
            assert len(members) == 1
            assert not members[0].cancelled
            self.failed -= set(numbers)
        else:
            self.check_batch(numbers, members)
            for member in members:
                member.computed += sum(number in member.numbers for number in numbers)
            while self.meanwhile:
                self.meanwhile.pop()()
            self.failed = set(numbers) if len(members) > 1 else set()
            if self.crashing:
                self.crashing = False
                for member in members:
                    member.crashed = True
                self.down = True
                raise CrashError
        if any(member.poisoned for member in members):
            raise PoisonedError
        values = np.array(numbers, np.float32)[:, None]
        return Inference(values, -values)

    def check_batch(self, numbers: list[int], members: list[Sent]) -> None:
        """Only what is wanted, in order, and only requests that are too large are split."""
        assert numbers == sorted(numbers)
        for member in members:
            assert not member.settled
            assert not member.late
            assert member.deadline is None or member.deadline > self.now
            mine = [number for number in numbers if number in member.numbers]
            due = member.numbers[member.computed :]
            assert mine == due[: len(mine)]
            assert mine == due or len(member.numbers) > LARGEST

    def probe(self) -> None:
        if self.down and not self.draining:
            try:
                assert not self.batcher.ready
                self.assert_refused(1, EngineDownError)
            except Exception as violation:
                self.violations.append(violation)
        if self.failing_probes:
            self.failing_probes -= 1
            self.down = True
            raise ValueError("the device is lost")

    # What happens to it.

    @rule(
        rows=st.sampled_from([1, 1, 2, 3, LARGEST, LARGEST + 1, 2 * LARGEST + 1]),
        patience=st.none() | st.integers(1, 3),
        poisoned=st.integers(0, 3).map(lambda n: n == 0),
    )
    def submit(self, rows: int, patience: int | None, poisoned: bool) -> None:
        self.spin()
        if self.draining:
            self.assert_refused(rows, EngineDownError)
        elif sum(sent.left for sent in self.sent) + rows > WAITING:
            self.assert_refused(rows, QueueFullError)
        else:
            deadline = None if patience is None else self.now + patience * HOUR
            numbers = list(range(self.count, self.count + rows))
            self.count += rows
            task = self.infer(numbers, deadline)
            assert not task.done()
            self.sent.append(Sent(numbers, deadline, task, poisoned))

    @rule(choice=st.integers(0, 100))
    def cancel(self, choice: int) -> None:
        self.give_up(choice)
        self.spin()

    def give_up(self, choice: int) -> None:
        waiting = [sent for sent in self.sent if not sent.task.done() and not sent.cancelled]
        if waiting:
            sent = waiting[choice % len(waiting)]
            sent.cancelled = True
            sent.task.cancel()

    @rule(hours=st.integers(1, 2))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOUR

    @precondition(lambda self: self.batcher.waiting)
    @rule(
        arrivals=st.lists(st.integers(1, LARGEST), max_size=2),
        departures=st.lists(st.integers(0, 100), max_size=2),
        crashing=st.integers(0, 5).map(lambda n: n == 0),
        failing_probes=st.integers(0, 2),
        again=st.booleans(),
        unheard=st.booleans(),
    )
    def turn(
        self,
        arrivals: list[int],
        departures: list[int],
        crashing: bool,
        failing_probes: int,
        again: bool,
        unheard: bool,
    ) -> None:
        """Run a batch while others come and go; perhaps one goes, or a second batch runs, before
        the event loop gets to say so."""
        self.meanwhile = [
            *(lambda rows=rows: self.submit(rows, None, False) for rows in arrivals),
            *(lambda choice=choice: self.cancel(choice) for choice in departures),
        ]
        self.crashing, self.failing_probes = crashing, failing_probes if not self.draining else 0
        for sent in self.sent:
            if sent.left and sent.deadline is not None and sent.deadline <= self.now:
                sent.late = True
        if unheard:
            self.give_up(0)
        self.batcher.turn()
        if again and self.batcher.waiting:
            self.down = False
            self.batcher.turn()
        self.down = False
        self.crashing, self.failing_probes, self.meanwhile = False, 0, []
        if self.violations:
            raise self.violations[0]
        self.spin()
        self.check_outcomes()

    @rule(chance=st.integers(0, 9))
    def drain(self, chance: int) -> None:
        if chance == 9:  # not often, since little can happen after it
            self.batcher.drain()
            self.draining = True

    # What must hold.

    @invariant()
    def the_queue_is_what_was_accepted_and_not_yet_settled(self) -> None:
        assert self.batcher.waiting == sum(sent.left for sent in self.sent)
        assert self.batcher.waiting <= WAITING

    def check_outcomes(self) -> None:
        for sent in self.sent:
            if sent.cancelled:
                assert sent.task.cancelled()
            elif sent.settled or (sent.late and sent.task.done()):
                error = sent.task.exception()
                if error is None:
                    assert sent.task.result().logits.ravel().tolist() == sent.numbers
                    assert sent.task.result().probabilities.ravel().tolist() == [
                        -number for number in sent.numbers
                    ]
                assert isinstance(error, self.due(sent))
            else:
                assert not sent.task.done()

    @staticmethod
    def due(sent: Sent) -> type:
        if sent.crashed:
            return EngineDownError
        if sent.failed:
            return ComputeError
        return DeadlineError if sent.late else type(None)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.end()
        finally:
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    def end(self) -> None:
        self.batcher.drain()
        self.draining = True
        for _ in range(WAITING):
            if self.batcher.waiting:
                self.turn([], [], False, 0, False, False)
        self.check_outcomes()
        assert all(sent.task.done() for sent in self.sent)

    def infer(self, numbers: list[int], deadline: float | None) -> asyncio.Task[Inference]:
        images = np.array(numbers, np.uint32).view(np.uint8).reshape(-1, 1, 1, 4)
        task = self.loop.create_task(self.batcher.infer(images, deadline))
        self.spin()
        return task

    def assert_refused(self, rows: int, kind: type[Exception]) -> None:
        task = self.infer([2**20] * rows, None)
        assert isinstance(task.exception(), kind)

    def spin(self) -> None:
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))


BatcherMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestBatcher: Any = BatcherMachine.TestCase
