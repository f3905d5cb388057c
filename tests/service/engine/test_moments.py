"""Work for idle moments does not start while the event loop is reading: it is asked before."""

import asyncio
import itertools
import time

import pytest

from service.engine import Inference
from service.engine.batcher import Batcher
from service.engine.priorities import IdleQueue
from tests.service.engine.work import Work, answer, blank, on_the_event_loop, stepped
from tests.waiting import until, wait_until


def busy_until_asked(batcher: Batcher, work: Work) -> None:
    """Let work wait, and keep the event loop busy until the thread has asked it and sleeps."""
    batcher._spare = IdleQueue(lull=0)  # nothing else keeps it from running at once
    asked, ask = list[str](), batcher._idle_detector.ask
    batcher._idle_detector.ask = lambda: (asked.append(""), ask())[1]  # type: ignore[method-assign,func-returns-value]
    batcher.when_idle(work)
    wait_until(lambda: asked and batcher._idle)


@pytest.mark.anyio
async def test_it_does_not_start_while_the_event_loop_is_busy() -> None:
    """No request waits: the event loop is about to read them."""
    started: list[str] = []
    batcher = stepped()
    batcher.start()
    try:
        await batcher.infer(blank())
        await until(lambda: batcher._idle)
        busy_until_asked(batcher, Work(lambda: started.append("")))
        assert not started
        await until(lambda: started)
    finally:
        batcher.drain()


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
        await until(lambda: batcher._idle)
        loop.call_soon(lambda: tasks.append(loop.create_task(ask())))
        busy_until_asked(batcher, Work(lambda: order.append("idle")))
        await until(lambda: "idle" in order)
    finally:
        batcher.drain()
    await tasks[0]
    assert order[:3] == ["graph", "graph", "idle"]


@pytest.mark.anyio
async def test_the_thread_sleeps_while_requests_come_and_go() -> None:
    """It would take the interpreter from the event loop each time that it wakes to look."""
    ticks, sleeps = itertools.count(), list[float | None]()
    batcher = on_the_event_loop(clock=lambda: next(ticks) * 1e-6)
    batcher._spare = IdleQueue(lull=500e-6)
    wait = batcher._changed.wait
    batcher._changed.wait = lambda seconds=None: (sleeps.append(seconds), wait(seconds))[1]  # type: ignore[method-assign]
    batcher.start()
    try:
        await batcher.infer(blank())
        await until(lambda: batcher._idle)
        batcher._seconds_per_row = 1e-6
        work = Work()
        batcher.when_idle(work)
        await until(lambda: batcher._idle_detector.asked)
        for _ in range(100):
            await batcher.infer(blank(), here=True)
            await asyncio.sleep(0)
        assert not work.ends
        batcher._spare.served(-1)
        await until(lambda: work.ends)
    finally:
        batcher.drain()
    assert work.ends == ["ran"]
    # It slept before the first request, after it, once it had asked, and perhaps after the work.
    assert sleeps in ([None] * 3, [None] * 4)


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
