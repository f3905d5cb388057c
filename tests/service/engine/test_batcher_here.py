"""A graph on the CPU: lone requests on the event loop, and batches of half of what waits."""

import asyncio
import random
import threading
import time
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from artifact.contract import Images
from service.engine import ComputeError, DeadlineError, EngineDownError, Inference, Limits
from service.engine.batcher import Batcher
from service.engine.graph import QUICK
from tests.service.engine.test_batcher import Gate, Make, echo, make, numbered, numbers_of, until

__all__ = ["make"]
pytestmark = pytest.mark.anyio


class Watched:
    """Echoes, noting on which thread each number was computed and whether two ran at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.threads: dict[int, str] = {}
        self.sizes: list[int] = []
        self.overlapped = False
        self._running = threading.Lock()

    def __call__(self, parts: Sequence[Images]) -> Inference:
        self.overlapped |= not self._running.acquire(blocking=False)
        self.sizes.append(sum(map(len, parts)))
        time.sleep(self.seconds)
        for number in numbers_of(parts):
            self.threads[number] = threading.current_thread().name
        self._running.release()
        return echo(parts)


async def idle(batcher: Batcher) -> None:
    await until(lambda: batcher._idle)


async def test_a_lone_request_of_a_quick_graph_is_computed_where_it_came_in(make: Make) -> None:
    compute = Watched()
    batcher = make(compute, on_cpu=True)
    for number in range(6):  # by the first it is not known yet how long the graph takes
        await idle(batcher)
        if number:
            batcher._seconds_per_row = QUICK / 9  # however busy the machine
        answer = await batcher.infer(numbered(number), here=number < 4)
        assert answer.logits.item() == number
    here = threading.current_thread().name
    assert [compute.threads[n] for n in range(6)] == ["inference", *[here] * 3, *["inference"] * 2]


@pytest.mark.parametrize("on_cpu", [True, False])
async def test_other_requests_never_hold_the_event_loop(make: Make, on_cpu: bool) -> None:
    """Neither those of a slow graph, nor any of a graph that is not on the CPU."""
    compute = Watched(2 * QUICK if on_cpu else 0)
    batcher = make(compute, on_cpu=on_cpu)
    for number in range(5):
        await idle(batcher)
        await batcher.infer(numbered(number), here=True)
    assert set(compute.threads.values()) == {"inference"}


async def test_requests_of_one_turn_of_the_loop_go_to_the_thread_together(make: Make) -> None:
    compute = Watched()
    batcher = make(compute, on_cpu=True)
    await batcher.infer(numbered(0))
    await idle(batcher)
    await asyncio.gather(*(batcher.infer(numbered(n)) for n in (1, 2, 3)))
    assert {compute.threads[n] for n in (1, 2, 3)} == {"inference"}
    assert compute.sizes == [1, 3]


@pytest.mark.parametrize("rows", [1, 3, 4])
async def test_only_what_is_quick_as_a_whole_is_computed_where_it_came_in(
    make: Make, rows: int
) -> None:
    compute = Watched()
    batcher = make(compute, max_batch_size=8, on_cpu=True)
    await batcher.infer(numbered(0))
    await idle(batcher)
    batcher._seconds_per_row = QUICK / 3.5
    await batcher.infer(numbered(*range(1, rows + 1)), here=True)
    here = threading.current_thread().name
    assert {compute.threads[n] for n in range(1, rows + 1)} == {here if rows < 4 else "inference"}


async def test_a_request_larger_than_a_batch_is_not_computed_where_it_came_in(make: Make) -> None:
    compute = Watched()
    batcher = make(compute, max_batch_size=2, on_cpu=True)
    await batcher.infer(numbered(0))
    await idle(batcher)
    batcher._seconds_per_row = QUICK / 100
    answer = await batcher.infer(numbered(1, 2, 3), here=True)
    assert answer.logits.ravel().tolist() == [1, 2, 3]
    assert compute.sizes == [1, 2, 1]


async def test_what_is_late_when_it_comes_is_not_computed_where_it_came_in(make: Make) -> None:
    compute = Watched()
    batcher = make(compute, on_cpu=True)
    await batcher.infer(numbered(0))
    await idle(batcher)
    batcher._seconds_per_row = QUICK / 9
    with pytest.raises(DeadlineError):
        await batcher.infer(numbered(1), batcher._clock() - 1, here=True)
    assert compute.sizes == [1]
    await idle(batcher)


async def test_half_of_what_waits_is_a_batch_where_that_is_worthwhile(make: Make) -> None:
    gate = Gate()
    batcher = make(gate, max_batch_size=64, max_queue_size=256, on_cpu=True)
    tasks = [asyncio.create_task(batcher.infer(numbered(0)))]
    await gate.entrance()
    tasks += [asyncio.create_task(batcher.infer(numbered(n))) for n in range(1, 41)]
    tasks.append(asyncio.create_task(batcher.infer(numbered(*range(41, 71)))))
    await asyncio.sleep(0)
    gate.opened.release(20)
    answers = await asyncio.gather(*tasks)
    assert [int(n) for answer in answers for n in answer.logits.ravel()] == list(range(71))
    assert list(map(len, gate.batches)) == [1, 35, 35]


async def test_never_two_batches_at_once_wherever_they_are_computed(make: Make) -> None:
    compute = Watched()
    chance = random.Random(3)
    batcher = make(compute, max_queue_size=512, on_cpu=True)
    ended = threading.Event()

    def audit() -> None:
        while not ended.is_set():
            batcher.run(numbered(9000))
            time.sleep(0.0005)

    async def caller(first: int) -> None:
        for number in range(first, first + 60):
            call = asyncio.create_task(batcher.infer(numbered(number), here=True))
            if chance.random() < 0.1:
                await asyncio.sleep(0)
                call.cancel()
            try:
                assert (await call).logits.item() == number
            except asyncio.CancelledError:
                continue
            await asyncio.sleep(chance.choice([0, 0.001]))

    auditing = asyncio.create_task(asyncio.to_thread(audit))
    await asyncio.gather(*(caller(100 * k) for k in range(3)))
    ended.set()
    await auditing
    here = threading.current_thread().name
    assert {"inference", here} == set(compute.threads.values())
    assert not compute.overlapped
    assert batcher.waiting == 0


@pytest.mark.parametrize("error", [ValueError, SystemExit])
async def test_what_crashes_on_the_event_loop_is_mended_by_the_thread(
    make: Make, error: type[BaseException]
) -> None:
    """The loop goes on at once, refuses meanwhile, and is not the one that waits for the probe."""
    works, probed = threading.Event(), set()

    def compute(parts: Sequence[Images]) -> Inference:
        if 13 in numbers_of(parts):
            raise error
        return echo(parts)

    def probe() -> None:
        if not works.is_set():
            probed.add(threading.current_thread().name)
            raise RuntimeError("the device is lost")

    batcher: Batcher = make(compute, probe=probe, retry_seconds=0.001, on_cpu=True)
    await batcher.infer(numbered(0))
    await idle(batcher)
    batcher._seconds_per_row = QUICK / 9
    due = ComputeError if error is ValueError else EngineDownError
    with pytest.raises(due):
        await batcher.infer(numbered(13), here=True)
    await until(lambda: not batcher.ready)
    with pytest.raises(EngineDownError):
        await batcher.infer(numbered(14), here=True)
    await until(lambda: "inference" in probed)
    works.set()
    await until(lambda: batcher.ready)
    assert (await batcher.infer(numbered(15), here=True)).logits.item() == 15


async def test_a_drain_ends_although_batches_were_computed_on_the_event_loop() -> None:
    batcher = Batcher(echo, lambda: None, Limits(8, 64), on_cpu=True)
    batcher.start()
    for number in range(3):
        await batcher.infer(numbered(number), here=True)
    await asyncio.wait_for(asyncio.to_thread(batcher.drain), 5)
    assert batcher._thread is not None
    assert not batcher._thread.is_alive()


async def test_what_fails_where_it_came_in_alone_is_answered_by_the_thread_and_said(
    make: Make,
) -> None:
    here = threading.current_thread().name

    def compute(parts: Sequence[Images]) -> Inference:
        if threading.current_thread().name == here:
            raise ValueError("not on this thread")
        return echo(parts)

    batcher = make(compute, on_cpu=True)
    await batcher.infer(numbered(0))
    await idle(batcher)
    batcher._seconds_per_row = QUICK / 9
    with capture_logs() as logs:
        assert (await batcher.infer(numbered(1), here=True)).logits.item() == 1
    assert [line["log_level"] for line in logs] == ["warning"]
    assert batcher.ready
