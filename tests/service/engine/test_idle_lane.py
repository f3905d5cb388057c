"""Work for idle moments: it never starts while anything else waits, and none of it is forgotten."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from artifact.contract import Images
from service.engine import Batch, IdleDrop, Inference, Limits
from service.engine.batcher import Batcher
from service.engine.priorities import IdleQueue, IdleTask, Job
from tests.service.engine.work import Work, answer, blank, on_the_event_loop, stepped
from tests.waiting import until, wait_until

CAPACITY, PATIENCE, LULL = 64, 10.0, 0.001  # what IdleQueue has by default


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


@pytest.mark.anyio
async def test_it_never_runs_on_the_event_loop() -> None:
    batcher = on_the_event_loop()
    batcher._idle = True  # as if the thread slept
    work = Work()
    batcher.when_idle(work)
    await batcher.infer(blank(), here=True)
    await asyncio.sleep(0)
    assert work.ends == []


@pytest.mark.anyio
async def test_it_runs_between_requests_that_are_computed_on_the_event_loop() -> None:
    batcher, threads = on_the_event_loop(), set[str]()
    works = [Work(lambda: threads.add(threading.current_thread().name)) for _ in range(50)]
    batcher.start()
    try:
        await until(lambda: batcher._idle)
        for work in works:
            batcher.when_idle(work)
            await batcher.infer(blank(), here=True)
            await asyncio.sleep(0.0015)
        await until(lambda: all(work.ends for work in works))
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

    batcher = Batcher(slow, lambda: None, Limits(max_idle_share=1.0), on_cpu=True)
    batcher._spare = IdleQueue(lull=0.1)
    looks, rest = list[str](), batcher._spare.rest
    batcher._spare.rest = lambda now: (looks.append(""), rest(now))[1]  # type: ignore[method-assign]
    turns, turn = list[bool](), batcher.turn
    batcher.turn = lambda: (turns.append(batcher._held), turn())  # type: ignore[assignment,func-returns-value]
    work = Work()
    batcher.start()
    try:
        await batcher.infer(blank(), here=True)
        await until(lambda: batcher._idle)
        batcher._seconds_per_row = 1e-6
        looks.clear()
        batcher.when_idle(work)  # it wakes, and goes to sleep for what is left of the lull
        await until(lambda: looks and batcher._idle)
        await batcher.infer(blank(), here=True)  # it wakes while this is computed
        await until(lambda: work.ends)
    finally:
        batcher.drain()
    assert work.ends == ["ran"]
    assert turns == [False, False]


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
    wait_until(lambda: all(work.ends for work in waiting))
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

    batcher = stepped()
    batcher.observers.append(Watch())
    batcher.start()
    try:
        await until(lambda: batcher._idle)  # it sleeps without a timeout
        done = threading.Event()
        work = Work(done.set)
        batcher.when_idle(work)
        assert await asyncio.to_thread(done.wait, 60)
    finally:
        batcher.drain()
    assert work.ends == ["ran"]
    assert [(batch.priority, batch.rows) for batch in batches] == [("idle", 1)]


@pytest.mark.anyio
async def test_the_first_waits_until_answers_are_on_their_way() -> None:
    """Not before a lull after the last batch; time is measured, so only the least of it is sure."""
    started: list[float] = []
    batcher = stepped()
    batcher._spare = IdleQueue(lull=0.05)  # longer than a scheduler is late
    batcher.start()
    try:
        await batcher.infer(blank(), here=True)
        answered = time.monotonic()
        batcher.when_idle(Work(lambda: started.append(time.monotonic())))
        await until(lambda: started)
    finally:
        batcher.drain()
    assert started[0] - answered > 0.04


def test_a_lull_is_counted_from_the_last_batch_and_only_if_something_waits() -> None:
    queue = IdleQueue(lull=1.0)
    queue.served(10.0)
    assert queue.pause(10.25) is None
    queue.add(IdleTask(Work(), answer, 10.25))
    assert queue.pause(10.25) == 0.75
    assert queue.pause(12.0) == 0


def test_after_a_task_there_is_a_rest() -> None:
    queue = IdleQueue(part=0.01)
    queue.add(IdleTask(Work(), answer, 0.0))
    queue.ran(0.5, 100.0)
    assert queue.pause(100.0) == pytest.approx(49.5)
    queue.served(120.0)
    assert queue.pause(120.0) == queue.rest(120.0) == pytest.approx(29.5)
    queue.served(149.5)
    assert queue.rest(149.5) == 0
    assert queue.pause(149.5) == pytest.approx(LULL)


@pytest.mark.parametrize("fails", [False, True])
def test_tasks_run_for_no_more_than_their_part_of_the_time(fails: bool) -> None:
    def slow(parts: Sequence[Images]) -> Inference:
        time.sleep(0.005)
        if fails:
            raise ValueError
        return answer(parts)

    batcher = Batcher(slow, lambda: None, Limits(max_idle_share=0.1))
    works = [Work() for _ in range(CAPACITY)]
    for work in works:
        batcher.when_idle(work)
    began = time.monotonic()
    batcher.start()
    wait_until(lambda: sum(bool(work.ends) for work in works) >= 4)
    batcher.drain()
    seconds = time.monotonic() - began
    done = sum(work.ends in (["ran"], ["failed"]) for work in works)
    assert (done - 1) * 0.005 <= 0.1 * seconds  # the last one's rest may be under way
