"""Requests, audits and idle work in any order: none is forgotten, and none ends twice."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from artifact.contract import Images
from service.engine import Inference, Limits
from service.engine.batcher import Batcher
from service.engine.priorities import Job
from tests.service.engine.work import Work, answer, blank

CAPACITY, PATIENCE = 64, 10.0  # what IdleQueue has by default


class IdleMachine(RuleBasedStateMachine):
    """Requests, audits and work for idle moments come in any order and at any time."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.draining = False
        self.offered: list[tuple[Work, float]] = []
        self.running: list[str] = []
        self.wrong: list[str] = []
        self.tasks: list[asyncio.Task[Inference]] = []
        self.jobs: list[Future[Inference]] = []
        self.batcher = Batcher(
            self.compute,
            lambda: None,
            Limits(max_batch_size=2, max_queue_size=12),
            clock=lambda: self.now,
        )

    def compute(self, parts: Sequence[Images]) -> Inference:
        return answer(parts)

    @precondition(lambda self: not self.draining)
    @rule(rows=st.integers(1, 3))
    def ask(self, rows: int) -> None:
        if self.batcher.waiting + rows <= 12:
            self.tasks.append(self.loop.create_task(self.batcher.infer(blank(rows))))
            self.spin()

    @precondition(lambda self: not self.draining)
    @rule()
    def audit(self) -> None:
        future: Future[Inference] = Future()
        self.jobs.append(future)
        self.batcher._jobs.add(Job(answer, blank(), self.now, future))

    @rule(failing=st.integers(0, 3).map(lambda n: n == 0), arrivals=st.integers(0, 2))
    def offer(self, failing: bool, arrivals: int) -> None:
        offered = self.now

        def check() -> None:
            if self.batcher.waiting or len(self.batcher._jobs):
                self.wrong.append("it started while something waited")
            if self.now - offered > PATIENCE:
                self.wrong.append("it started after it had waited for too long")
            if self.draining:
                self.wrong.append("it started while the engine ended")
            for _ in range(arrivals):
                self.offer(False, 0)
            if failing:
                raise ZeroDivisionError

        work = Work(check)
        self.offered.append((work, self.now))
        self.batcher.when_idle(work)

    @rule(seconds=st.sampled_from([1.0, 4.0, PATIENCE + 1]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 6))
    def turn(self, times: int) -> None:
        for _ in range(times):
            self.batcher.turn()
            self.spin()

    @rule(chance=st.integers(0, 9))
    def drain(self, chance: int) -> None:
        if chance == 9:
            self.batcher.drain()
            self.draining = True

    @invariant()
    def none_is_forgotten_or_ends_twice(self) -> None:
        assert not self.wrong
        waiting = [work for work, _ in self.offered if not work.ends]
        assert len(waiting) == len(self.batcher._spare) <= CAPACITY
        assert all(len(work.ends) <= 1 for work, _ in self.offered)
        assert not (self.draining and waiting)
        assert self.batcher.ready is not self.draining

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.batcher.drain()
        for _ in range(50):
            self.batcher.turn()
            self.spin()
        assert all(task.done() and task.exception() is None for task in self.tasks)
        assert all(job.done() for job in self.jobs)
        assert all(len(work.ends) == 1 for work, _ in self.offered)
        self.loop.close()

    def spin(self) -> None:
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))


IdleMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestIdleLane: Any = IdleMachine.TestCase
