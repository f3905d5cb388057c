"""The batcher with its thread: who waits for what, and who never waits."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from artifact.contract import Images
from service.engine import (
    Batch,
    ComputeError,
    DeadlineError,
    EngineDownError,
    Inference,
    Limits,
    QueueFullError,
)
from service.engine.batcher import Batcher
from tests.waiting import until

pytestmark = pytest.mark.anyio


def numbered(*numbers: int) -> Images:
    return np.array(numbers, np.uint32).view(np.uint8).reshape(-1, 1, 1, 4)


def numbers_of(parts: Sequence[Images]) -> list[int]:
    return [int(number) for part in parts for number in part.view(np.uint32).ravel()]


def echo(parts: Sequence[Images]) -> Inference:
    values = np.array(numbers_of(parts), np.float32)[:, None]
    return Inference(values, -values)


class Gate:
    """Computes one batch each time it is opened, and keeps what came."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)

    def __call__(self, parts: Sequence[Images]) -> Inference:
        self.batches.append(numbers_of(parts))
        self.entered.release()
        assert self.opened.acquire(timeout=60)
        return echo(parts)

    async def entrance(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=60)


Make = Callable[..., Batcher]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Batcher] = []

    def build(
        compute: Any = echo, max_batch_size: int = 8, max_queue_size: int = 64, **options: Any
    ) -> Batcher:
        probe = options.pop("probe", lambda: None)
        made.append(Batcher(compute, probe, Limits(max_batch_size, max_queue_size), **options))
        made[-1].start()
        return made[-1]

    yield build
    for batcher in made:
        batcher.drain()


async def test_a_lone_request_leaves_at_once_and_others_gather_behind_it(make: Make) -> None:
    gate = Gate()
    batcher = make(gate)
    tasks = [asyncio.create_task(batcher.infer(numbered(0)))]
    await gate.entrance()
    tasks += [asyncio.create_task(batcher.infer(numbered(n))) for n in range(1, 6)]
    await asyncio.sleep(0)
    assert batcher.waiting == 5
    gate.opened.release(2)
    answers = await asyncio.gather(*tasks)
    assert gate.batches == [[0], [1, 2, 3, 4, 5]]
    assert [answer.logits.item() for answer in answers] == [0, 1, 2, 3, 4, 5]


async def test_a_batch_wakes_the_event_loop_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    batcher = make(gate)
    first = asyncio.create_task(batcher.infer(numbered(0)))
    await gate.entrance()
    rest = [asyncio.create_task(batcher.infer(numbered(n))) for n in range(1, 7)]
    await asyncio.sleep(0)
    loop, woken = asyncio.get_running_loop(), []
    wake = loop.call_soon_threadsafe

    def count(callback: Any, *args: Any, **options: Any) -> Any:
        if threading.current_thread().name == "inference":
            woken.append(callback)
        return wake(callback, *args, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", count)
    gate.opened.release(2)
    await asyncio.gather(first, *rest)
    assert len(woken) == 2


async def test_a_deadline_ends_the_wait_while_a_long_batch_still_runs(make: Make) -> None:
    gate = Gate()
    batcher = make(gate)
    running = asyncio.create_task(batcher.infer(numbered(0), time.monotonic() + 0.05))
    await gate.entrance()
    waiting = asyncio.create_task(batcher.infer(numbered(1), time.monotonic() + 0.05))
    for task in (running, waiting):
        with pytest.raises(DeadlineError):
            await asyncio.wait_for(task, 5)
    assert batcher.waiting == 0
    gate.opened.release(2)
    assert (await batcher.infer(numbered(2))).logits.item() == 2
    assert gate.batches == [[0], [2]]


async def test_cancelled_requests_make_room_at_once(make: Make) -> None:
    gate = Gate()
    batcher = make(gate, max_queue_size=4)
    first = asyncio.create_task(batcher.infer(numbered(0)))
    await gate.entrance()
    given_up = asyncio.create_task(batcher.infer(numbered(1, 2, 3, 4)))
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError, match="4 images wait for it and at most 4 may"):
        await batcher.infer(numbered(5))
    given_up.cancel()
    await asyncio.sleep(0)
    kept = asyncio.create_task(batcher.infer(numbered(6, 7, 8, 9)))
    await asyncio.sleep(0)
    gate.opened.release(2)
    await asyncio.gather(first, kept)
    assert gate.batches == [[0], [6, 7, 8, 9]]


async def test_audits_wait_behind_requests_and_take_a_turn_now_and_then() -> None:
    order: list[str] = []

    def compute(parts: Sequence[Images]) -> Inference:
        order.append("request")
        return echo(parts)

    def audited(parts: Sequence[Images]) -> Inference:
        order.append("audit")
        return echo(parts)

    batcher = Batcher(compute, lambda: None, Limits(max_batch_size=1, max_queue_size=64))
    audit = asyncio.create_task(asyncio.to_thread(batcher.run, numbered(1, 2), audited))
    await until(lambda: bool(batcher._jobs))
    tasks = [asyncio.create_task(batcher.infer(numbered(n))) for n in range(12)]
    await asyncio.sleep(0)
    for _ in range(13):
        batcher.turn()
    await until(lambda: bool(batcher._jobs))
    batcher.turn()
    assert order == ["request"] * 8 + ["audit"] + ["request"] * 4 + ["audit"]
    assert (await audit).logits.ravel().tolist() == [1, 2]
    await asyncio.gather(*tasks)


async def test_a_crash_makes_it_unready_until_a_probe_works(make: Make) -> None:
    works = threading.Event()
    gate = Gate()

    class CrashError(BaseException):
        pass

    def compute(parts: Sequence[Images]) -> Inference:
        result = gate(parts)
        if numbers_of(parts) == [0]:
            raise CrashError
        return result

    def probe() -> None:
        if not works.is_set():
            raise RuntimeError("the device is lost")

    batcher = make(compute, probe=probe, retry_seconds=0.001)
    crashing = asyncio.create_task(batcher.infer(numbered(0)))
    await gate.entrance()
    waiting = asyncio.create_task(batcher.infer(numbered(1, 2)))
    await asyncio.sleep(0)
    gate.opened.release(2)
    with pytest.raises(EngineDownError, match="crashed on the batch of this request"):
        await crashing
    assert not batcher.ready
    with pytest.raises(EngineDownError, match="takes no requests"):
        await batcher.infer(numbered(3))
    works.set()
    assert (await waiting).logits.ravel().tolist() == [1, 2]
    assert batcher.ready


async def test_a_graph_that_fails_on_everything_makes_it_unready(make: Make) -> None:
    def broken(*_: object) -> Inference:
        raise RuntimeError("CUDA error 700")

    batcher = make(broken, probe=broken, retry_seconds=0.001)
    with pytest.raises(Exception, match="the log says why"):
        await batcher.infer(numbered(0))
    await until(lambda: not batcher.ready)


async def test_no_further_rows_of_a_request_that_failed_are_computed() -> None:
    seen: list[int] = []

    def broken(parts: Sequence[Images]) -> Inference:
        seen.extend(numbers_of(parts))
        raise ValueError

    batcher = Batcher(broken, lambda: None, Limits(max_batch_size=2))
    call = asyncio.create_task(batcher.infer(numbered(0, 1, 2, 3, 4)))
    await asyncio.sleep(0)
    batcher.turn()
    batcher.turn()  # before the event loop has heard of the first
    assert seen == [0, 1]
    assert batcher.waiting == 0
    with pytest.raises(ComputeError):
        await call


async def test_a_drain_with_a_broken_engine_refuses_what_waits_and_ends() -> None:
    def broken(*_: object) -> Inference:
        raise SystemExit

    batcher = Batcher(broken, broken, Limits(max_batch_size=1), retry_seconds=60)
    tasks = [asyncio.create_task(batcher.infer(numbered(n))) for n in range(3)]
    await asyncio.sleep(0)
    batcher.start()
    await asyncio.to_thread(batcher.drain)
    assert [type(e) for e in await asyncio.gather(*tasks, return_exceptions=True)] == [
        EngineDownError
    ] * 3


async def test_a_failing_observer_hurts_nobody(make: Make) -> None:
    class Failing:
        def ran(self, batch: Batch) -> None:
            raise KeyError

    batcher = make(max_queue_size=8)
    batcher.observers.append(Failing())
    with pytest.raises(QueueFullError):
        await batcher.infer(numbered(*range(9)))
    for n in range(3):
        assert (await batcher.infer(numbered(n))).logits.item() == n


async def test_many_callers_that_come_and_go_get_their_own_answers(make: Make) -> None:
    chance = random.Random(5)
    batcher = make(max_queue_size=200, max_batch_size=16)
    answered = 0

    async def caller(first: int) -> None:
        nonlocal answered
        for n in range(first, first + 400, 20):
            mine = list(range(n, n + chance.randint(1, 20)))
            call = asyncio.create_task(batcher.infer(numbered(*mine)))
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() / 1000)
                call.cancel()
            try:
                answer = await call
            except (asyncio.CancelledError, QueueFullError):
                continue
            assert answer.logits.ravel().tolist() == mine
            answered += 1

    await asyncio.gather(*(caller(1000 * k) for k in range(40)))
    assert answered > 100
    assert batcher.waiting == 0
