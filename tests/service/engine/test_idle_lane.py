"""Work for idle moments: it never starts while anything else waits, and none of it is forgotten."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.engine import Batch, Drop, IdleDrop, Inference, Limits
from service.engine.batcher import Batcher
from service.engine.lanes import IdleLane, IdleTask, Job
from service.engine.waiting import Images

CAPACITY, PATIENCE, LULL = 64, 10.0, 0.001  # what IdleLane has by default


def blank(rows: int = 1) -> Images:
    return np.zeros((rows, 1, 1, 1), np.uint8)


def answer(parts: Sequence[Images]) -> Inference:
    rows = sum(map(len, parts))
    return Inference(np.zeros((rows, 2), np.float32), np.zeros((rows, 2), np.float32))


class Work:
    """Notes what becomes of it; `check` is called when it starts."""

    def __init__(self, check: Callable[[], object] = lambda: None) -> None:
        self.check = check
        self.ends: list[str] = []
        self.errors: list[Exception | None] = []

    def images(self) -> Images:
        self.check()
        return blank()

    def ran(self, result: Inference) -> None:
        assert len(result.logits) == 1
        self.ends.append("ran")

    def dropped(self, reason: IdleDrop, error: Exception | None = None) -> None:
        self.ends.append(reason)
        self.errors.append(error)


def stepped(compute: Any = answer, **options: Any) -> Batcher:
    return Batcher(compute, lambda: None, Limits(1, 64, idle=1.0), **options)


@pytest.mark.anyio
async def test_it_starts_only_when_neither_requests_nor_audits_wait() -> None:
    order: list[str] = []
    batcher = stepped(lambda parts: (order.append("graph"), answer(parts))[1])
    work = Work(lambda: order.append("idle"))
    batcher.when_idle(work)
    batcher._jobs.add(
        Job(lambda parts: (order.append("audit"), answer(parts))[1], blank(), 0.0, Future())
    )
    tasks = [asyncio.create_task(batcher.infer(blank())) for _ in range(20)]
    await asyncio.sleep(0)
    for _ in range(22):
        batcher.turn()
    # However long it has waited: an audit takes a turn after eight batches, this does not.
    assert order == ["graph"] * 8 + ["audit"] + ["graph"] * 12 + ["idle", "graph"]
    assert work.ends == ["ran"]
    await asyncio.gather(*tasks)


@pytest.mark.anyio
async def test_it_does_not_overtake_an_audit_when_the_request_between_them_is_given_up() -> None:
    batcher = stepped()
    work, future = Work(), Future[Inference]()
    batcher.when_idle(work)
    batcher._jobs.add(Job(answer, blank(), 0.0, future))
    task = asyncio.create_task(batcher.infer(blank()))
    await asyncio.sleep(0)
    task.cancel()  # the engine has not heard of it yet
    batcher.turn()
    assert work.ends == []
    batcher.turn()
    assert future.done()
    assert work.ends == []
    batcher.turn()
    assert work.ends == ["ran"]


def on_the_event_loop() -> Batcher:
    """A batcher that computes lone requests where they came in."""
    batcher = Batcher(answer, lambda: None, Limits(idle=1.0), on_cpu=True)
    batcher._seconds_per_row = 1e-6
    return batcher


@pytest.mark.anyio
async def test_it_never_runs_on_the_event_loop() -> None:
    batcher = on_the_event_loop()
    batcher._idle = True  # as if the thread slept
    work = Work()
    batcher.when_idle(work)
    await batcher.infer(blank(), here=True)
    await asyncio.sleep(0.01)
    assert work.ends == []


@pytest.mark.anyio
async def test_it_runs_between_requests_that_are_computed_on_the_event_loop() -> None:
    batcher, threads = on_the_event_loop(), set[str]()
    works = [Work(lambda: threads.add(threading.current_thread().name)) for _ in range(50)]
    batcher.start()
    try:
        await asyncio.sleep(0.02)
        for work in works:
            batcher.when_idle(work)
            await batcher.infer(blank(), here=True)
            await asyncio.sleep(0.0015)
        for _ in range(1000):
            if all(work.ends for work in works):
                break
            await asyncio.sleep(0.005)
            if batcher._idle:
                await batcher.infer(blank(), here=True)
    finally:
        batcher.drain()
    assert [work.ends for work in works] == [["ran"]] * 50
    assert threads == {"inference"}


@pytest.mark.anyio
async def test_the_thread_does_not_forget_it_while_it_is_held_off() -> None:
    """It wakes for work while a request is computed here, and has to wake again."""
    held = threading.Event()

    def slow(parts: Sequence[Images]) -> Inference:
        if threading.current_thread().name != "inference":
            held.wait(0.2)  # the event loop stands still, as a graph makes it
        return answer(parts)

    batcher = Batcher(slow, lambda: None, Limits(idle=1.0), on_cpu=True)
    batcher._spare = IdleLane(lull=0.1)
    turns, turn = list[bool](), batcher.turn
    batcher.turn = lambda: (turns.append(batcher._held), turn())  # type: ignore[assignment,func-returns-value]
    work = Work()
    batcher.start()
    try:
        await batcher.infer(blank(), here=True)
        await asyncio.sleep(0.02)  # the thread has gone to sleep
        batcher._seconds_per_row = 1e-6
        batcher.when_idle(work)  # it wakes, and goes to sleep for what is left of the lull
        await asyncio.sleep(0.02)
        await batcher.infer(blank(), here=True)  # it wakes while this is computed
        for _ in range(1000):
            if work.ends:
                break
            await asyncio.sleep(0.005)
    finally:
        batcher.drain()
    assert work.ends == ["ran"]
    assert turns == [False, False]


async def until(holds: Callable[[], object]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


@pytest.mark.anyio
async def test_it_does_not_start_while_the_event_loop_is_busy() -> None:
    """No request waits: the event loop is about to read them."""
    started: list[float] = []
    batcher = stepped()
    batcher.start()
    try:
        await batcher.infer(blank())
        await asyncio.sleep(0.02)  # the lull is over, and the thread sleeps
        batcher.when_idle(Work(lambda: started.append(time.monotonic())))
        time.sleep(0.1)  # noqa: ASYNC251 - it is to be busy
        busy_until = time.monotonic()
        await until(lambda: started)
    finally:
        batcher.drain()
    assert started[0] >= busy_until


@pytest.mark.anyio
async def test_what_the_event_loop_has_read_goes_first() -> None:
    """A request takes some turns of the event loop from its socket to the queue."""
    order: list[str] = []
    tasks: list[asyncio.Task[Inference]] = []
    batcher = stepped(lambda parts: (order.append("graph"), answer(parts))[1])
    loop = asyncio.get_running_loop()

    async def ask() -> Inference:
        time.sleep(0.02)  # noqa: ASYNC251 - it takes long to read
        await asyncio.sleep(0)
        return await batcher.infer(blank())

    batcher.start()
    try:
        await batcher.infer(blank())
        await asyncio.sleep(0.02)
        batcher.when_idle(Work(lambda: order.append("idle")))
        loop.call_soon(lambda: tasks.append(loop.create_task(ask())))
        time.sleep(0.05)  # noqa: ASYNC251 - meanwhile the thread asks for a moment
        await until(lambda: "idle" in order)
    finally:
        batcher.drain()
    await tasks[0]
    assert order[:3] == ["graph", "graph", "idle"]


@pytest.mark.anyio
async def test_the_thread_sleeps_while_requests_come_and_go() -> None:
    """It would take the interpreter from the event loop each time that it wakes to look."""
    batcher, looks = on_the_event_loop(), list[str]()
    batcher._spare = lane = IdleLane(lull=0.05)
    rest = lane.rest
    lane.rest = lambda now: (looks.append(""), rest(now))[1]  # type: ignore[method-assign]
    batcher.start()
    try:
        await batcher.infer(blank())
        await asyncio.sleep(0.02)
        batcher._seconds_per_row = 1e-6
        work = Work()
        batcher.when_idle(work)
        began = time.monotonic()
        while time.monotonic() < began + 0.3:
            await batcher.infer(blank(), here=True)
            await asyncio.sleep(0)
        assert len(looks) < 10
        await until(lambda: work.ends)
    finally:
        batcher.drain()
    assert work.ends == ["ran"]


@pytest.mark.anyio
async def test_it_runs_though_the_event_loop_of_the_last_request_is_gone() -> None:
    batcher = stepped()
    batcher.start()
    try:
        await asyncio.to_thread(asyncio.run, batcher.infer(blank()))
        work = Work()
        batcher.when_idle(work)
        await until(lambda: work.ends)
    finally:
        batcher.drain()
    assert work.ends == ["ran"]


def test_what_does_not_fit_is_dropped_at_once() -> None:
    batcher = stepped()
    works = [Work() for _ in range(CAPACITY + 2)]
    rooms = []
    for work in works:
        rooms.append(batcher.has_idle_room())
        batcher.when_idle(work)
    assert rooms == [True] * CAPACITY + [False] * 2
    assert [work.ends for work in works] == [[]] * CAPACITY + [["full"]] * 2


@pytest.mark.parametrize("how", ["turn", "offer"])
def test_what_has_waited_too_long_is_dropped_and_makes_room(how: str) -> None:
    now = 0.0
    batcher = stepped(clock=lambda: now)
    old = [Work() for _ in range(CAPACITY)]
    for work in old:
        batcher.when_idle(work)
    assert not batcher.has_idle_room()
    now = PATIENCE + 0.1
    assert batcher.has_idle_room()
    new = Work()
    if how == "offer":
        batcher.when_idle(new)
    batcher.turn()
    assert [work.ends for work in old] == [["expired"]] * CAPACITY
    assert new.ends == (["ran"] if how == "offer" else [])


@pytest.mark.anyio
async def test_a_request_that_comes_while_it_runs_is_next() -> None:
    batcher = stepped()
    tasks: list[asyncio.Task[Inference]] = []
    second = Work(lambda: None)
    loop = asyncio.get_running_loop()

    def arrive() -> None:
        request = batcher.infer(blank(), here=True)
        tasks.append(loop.create_task(request))

    batcher.when_idle(Work(arrive))
    batcher.when_idle(second)
    batcher.turn()
    await asyncio.sleep(0)
    assert batcher.waiting == 1
    batcher.turn()
    assert second.ends == []
    assert (await tasks[0]).logits.shape == (1, 2)
    batcher.turn()
    assert second.ends == ["ran"]


def test_it_fails_alone_and_the_engine_is_probed() -> None:
    def broken(parts: Sequence[Images]) -> Inference:
        raise ValueError("no such kernel")

    probes: list[int] = []
    batcher = Batcher(broken, lambda: probes.append(1), Limits())
    work = Work()
    batcher.when_idle(work)
    batcher.turn()
    assert work.ends == ["failed"]
    assert isinstance(work.errors[0].__cause__, ValueError)  # type: ignore[union-attr]
    assert probes == [1]
    assert batcher.ready


def test_it_goes_with_the_engine_that_crashes_on_it() -> None:
    def crash(parts: Sequence[Images]) -> Inference:
        raise SystemExit

    batcher = stepped(crash)
    work = Work()
    batcher.when_idle(work)
    batcher.turn()
    assert work.ends == ["failed"]
    batcher._down = True
    late = Work()
    batcher.when_idle(late)
    assert late.ends == ["down"]


@pytest.mark.anyio
async def test_work_that_cannot_even_be_dropped_hurts_nobody() -> None:
    class Stubborn(Work):
        def dropped(self, reason: IdleDrop, error: Exception | None = None) -> None:
            raise KeyError

    def fail() -> None:
        raise ZeroDivisionError

    batcher = stepped()
    for _ in range(CAPACITY + 1):
        batcher.when_idle(Stubborn(fail))
    batcher.turn()
    assert batcher.ready
    task = asyncio.create_task(batcher.infer(blank(), here=True))
    await asyncio.sleep(0)
    batcher.turn()
    await task


def test_a_drain_drops_what_waits_at_once() -> None:
    batcher = stepped()
    begun, may_end = threading.Event(), threading.Event()
    first = Work(lambda: (begun.set(), may_end.wait(10)))
    waiting = [Work(), Work()]
    for work in (first, *waiting):
        batcher.when_idle(work)
    batcher.start()
    assert begun.wait(10)
    drain = threading.Thread(target=batcher.drain)
    drain.start()
    for _ in range(1000):
        if all(work.ends for work in waiting):
            break
        time.sleep(0.002)
    assert [work.ends for work in waiting] == [["down"]] * 2
    assert first.ends == []
    may_end.set()
    drain.join(10)
    assert first.ends == ["ran"]
    late = Work()
    batcher.when_idle(late)
    assert late.ends == ["down"]


@pytest.mark.anyio
async def test_the_thread_wakes_for_it_and_tells_observers_of_its_lane() -> None:
    batches: list[Batch] = []

    class Watch:
        def ran(self, batch: Batch) -> None:
            batches.append(batch)

        def dropped(self, reason: Drop, rows: int) -> None:
            raise AssertionError

    batcher = stepped()
    batcher.observers.append(Watch())
    batcher.start()
    try:
        await asyncio.sleep(0.02)  # it sleeps without a timeout
        done = threading.Event()
        work = Work(done.set)
        batcher.when_idle(work)
        assert await asyncio.to_thread(done.wait, 5)
    finally:
        batcher.drain()
    assert work.ends == ["ran"]
    assert [(batch.lane, batch.rows) for batch in batches] == [("idle", 1)]


@pytest.mark.anyio
async def test_the_first_waits_until_answers_are_on_their_way() -> None:
    """Not before a lull after the last batch; time is measured, so only the least of it is sure."""
    started: list[float] = []
    batcher = stepped()
    batcher._spare = IdleLane(lull=0.05)  # longer than a scheduler is late
    batcher.start()
    try:
        await batcher.infer(blank(), here=True)
        answered = time.monotonic()
        batcher.when_idle(Work(lambda: started.append(time.monotonic())))
        for _ in range(500):
            if started:
                break
            await asyncio.sleep(0.002)
    finally:
        batcher.drain()
    assert started[0] - answered > 0.04


def test_a_lull_is_counted_from_the_last_batch_and_only_if_something_waits() -> None:
    lane = IdleLane(lull=1.0)
    lane.served(10.0)
    assert lane.pause(10.25) is None
    lane.add(IdleTask(Work(), answer, 10.25))
    assert lane.pause(10.25) == 0.75
    assert lane.pause(12.0) == 0


def test_after_a_task_there_is_a_rest() -> None:
    lane = IdleLane(part=0.01)
    lane.add(IdleTask(Work(), answer, 0.0))
    lane.ran(0.5, 100.0)
    assert lane.pause(100.0) == pytest.approx(49.5)
    lane.served(120.0)
    assert lane.pause(120.0) == lane.rest(120.0) == pytest.approx(29.5)
    lane.served(149.5)
    assert lane.rest(149.5) == 0
    assert lane.pause(149.5) == pytest.approx(LULL)


@pytest.mark.parametrize("fails", [False, True])
def test_tasks_run_for_no_more_than_their_part_of_the_time(fails: bool) -> None:
    def slow(parts: Sequence[Images]) -> Inference:
        time.sleep(0.005)
        if fails:
            raise ValueError
        return answer(parts)

    batcher = Batcher(slow, lambda: None, Limits(idle=0.1))
    works = [Work() for _ in range(CAPACITY)]
    for work in works:
        batcher.when_idle(work)
    began = time.monotonic()
    batcher.start()
    time.sleep(0.3)
    batcher.drain()
    seconds = time.monotonic() - began
    done = sum(work.ends in (["ran"], ["failed"]) for work in works)
    assert done >= 1
    assert (done - 1) * 0.005 <= 0.1 * seconds  # the last one's rest may be under way


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
            self.compute, lambda: None, Limits(largest=2, waiting=12), clock=lambda: self.now
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
