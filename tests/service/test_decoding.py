"""Decoding in processes: the same pixels, and an end to whatever is no longer waited for."""

import asyncio
import io
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artifact.card import InputSpec
from imaging import FitPolicy
from imaging.process import ENDING
from service import data_plane
from service.decoding.files import read_images
from service.decoding.pool import NAME, Decoders
from service.decoding.prepare import prepare
from service.engine import DeadlineError
from service.errors import ServiceError
from service.protocol import Part
from tests.service.processes import npy

SPEC = InputSpec(channels=1, fit=FitPolicy(28))
PIXELS = 2**26

pytestmark = pytest.mark.anyio


@pytest.fixture
async def decoders() -> AsyncIterator[Decoders]:
    found = Decoders(2)
    try:
        await asyncio.to_thread(found.start)
        yield found
    finally:
        await asyncio.to_thread(found.close)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@cache
def slow() -> list[Part]:
    """Images that take seconds: nothing here waits for their end."""
    return [Part(png(np.zeros((8000, 8000), np.uint8)))] * 16


async def ask(decoders: Decoders, parts: list[Part], seconds: float = 60) -> np.ndarray:
    deadline = time.monotonic() + seconds
    return await decoders.prepare(parts, SPEC, max_pixels=PIXELS, deadline=deadline)


async def at_work(count: int = 1) -> set[int]:
    """Wait until so many processes are decoding, by the CPU time that they spend; name them."""
    first = {pid: _cpu(pid) for pid in _processes()}
    async with asyncio.timeout(30):
        while True:
            busy = {pid for pid in _processes() if _cpu(pid) > first.get(pid, 0) + 10}
            if len(busy) >= count:
                return busy
            await asyncio.sleep(0.02)


async def gone(pids: set[int]) -> None:
    async with asyncio.timeout(30):
        while pids & _processes():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.02)


def _processes() -> set[int]:
    running = multiprocessing.active_children()
    return {process.pid for process in running if process.pid and process.name == NAME}


def _cpu(pid: int) -> int:
    """Return the hundredths of a second that a process has computed."""
    try:
        return int(_stat(pid)[11])
    except OSError:
        return 0


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process: its state, its parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def test_a_process_that_decodes_imports_little() -> None:
    """One that was ended with its request is soon replaced."""
    code = (
        "import sys, service.decoding.worker; sys.exit(bool({'audit', 'fastapi'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_processes_give_the_pixels_that_are_given_here(decoders: Decoders) -> None:
    random = np.random.default_rng(0)
    files = [png(random.integers(0, 256, side, np.uint8)) for side in [(40, 60), (28, 28)] * 20]
    arrays = [random.integers(0, 256, (1, 33, 20), np.uint8)]
    parts = [*map(Part, files), *map(Part, arrays)]
    here = prepare(parts, SPEC, max_pixels=PIXELS)
    np.testing.assert_array_equal(await ask(decoders, parts), here)


async def test_a_refusal_names_the_image(decoders: Decoders) -> None:
    good = Part(png(np.zeros((28, 28), np.uint8)))
    for bad, status in ((b"no image", 415), (good.content[:-30], 422)):
        for place in (0, 17):
            parts = [good] * place + [Part(bad, f"images[{place}]")]
            with pytest.raises(ServiceError, match=rf"images\[{place}\]: ") as refused:
                await ask(decoders, parts)
            assert refused.value.status == status


@pytest.mark.slow
async def test_the_deadline_ends_what_decodes(decoders: Decoders) -> None:
    with pytest.raises(DeadlineError):
        await ask(decoders, slow(), seconds=0.3)
    asked = asyncio.create_task(ask(decoders, slow(), seconds=2))
    busy = await at_work()
    with pytest.raises(DeadlineError):
        await asked
    await gone(busy)
    assert len(await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])) == 1


async def test_a_client_that_hangs_up_ends_what_decodes(decoders: Decoders) -> None:
    asked = asyncio.create_task(ask(decoders, slow()))
    busy = await at_work()
    asked.cancel()
    await gone(busy)
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_decoder_that_crashes_is_one_refusal(decoders: Decoders) -> None:
    asked = asyncio.create_task(ask(decoders, slow()))
    (busy,) = await at_work()
    os.kill(busy, signal.SIGSEGV)
    with pytest.raises(ServiceError, match="ends what decodes it") as refused:
        await asked
    assert refused.value.status == 422
    assert len(await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])) == 1


async def test_what_asks_the_service_to_end_ends_no_decoder(decoders: Decoders) -> None:
    """A signal to the whole group would have the images under way refused as such that crash."""
    before = _processes()
    forks = int(_stat(next(iter(before)))[1])
    for pid in (*before, forks):
        for number in ENDING:
            os.kill(pid, number)
    for _ in range(3):
        assert len(await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])) == 1
    assert _processes() == before


async def test_idle_decoders_that_are_ended_are_replaced(decoders: Decoders) -> None:
    await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])
    ended = _processes()
    for pid in ended:
        os.kill(pid, signal.SIGKILL)
    await gone(ended)
    for _ in range(3):
        assert len(await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])) == 1


async def test_there_are_no_more_than_may_decode_at_the_same_time() -> None:
    """Requests that come before all have been started have some of their own."""
    decoders = Decoders(2)
    try:
        before = _processes()
        await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])
        await asyncio.to_thread(decoders.start)
        assert len(_processes() - before) == 2
    finally:
        await asyncio.to_thread(decoders.close)


async def test_a_decoder_whose_answer_cannot_be_read_is_ended(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> None:
        raise OSError("a message of no length")

    before = _processes()
    with monkeypatch.context() as broke:
        broke.setattr(Connection, "recv", broken)
        with pytest.raises(ServiceError, match="ends what decodes it"):
            await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))], seconds=5)
    assert len(before - _processes()) == 1
    assert len(await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])) == 1


async def test_the_end_waits_for_no_decoder() -> None:
    decoders = Decoders(2)
    asked = [asyncio.create_task(ask(decoders, slow())) for _ in range(2)]
    busy = await at_work(2)
    await asyncio.to_thread(decoders.close)
    assert not busy & _processes()
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_what_ended_before_it_began_starts_nothing() -> None:
    decoders, before = Decoders(2), _processes()
    decoders.close()
    await asyncio.to_thread(decoders.start)
    with pytest.raises(ServiceError, match="is ending"):
        await ask(decoders, [Part(png(np.zeros((9, 9), np.uint8)))])
    assert _processes() == before


async def test_the_white_level_of_the_card_is_that_of_every_way_in(
    decoders: Decoders, tmp_path: Path
) -> None:
    grey = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    data = png(grey.astype(np.uint16) * 16)
    (tmp_path / "grey.png").write_bytes(data)
    spec = SPEC.model_copy(update={"white_level": 4080})
    here = prepare([Part(data)], spec, max_pixels=PIXELS)
    there = await decoders.prepare([Part(data)], spec, max_pixels=PIXELS, deadline=math.inf)
    offline = read_images([tmp_path / "grey.png"], spec, PIXELS)
    for found in (here, there, offline):
        assert np.array_equal(found[0, 0], grey)


async def test_few_bytes_that_become_large_images_are_fitted_elsewhere(
    open_client: Any, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 pixels of as many images held up the event loop for half a second at 512 x 512."""
    monkeypatch.setattr(data_plane, "SMALL_BATCH", 2 * 8 * 8)
    async with open_client(repository) as client:
        there: list[int] = []
        decoders = client.data_plane.decoders
        prepare = decoders.prepare

        async def counted(parts: list[Part], *rest: Any, **more: Any) -> Any:
            there.append(len(parts))
            return await prepare(parts, *rest, **more)

        monkeypatch.setattr(decoders, "prepare", counted)
        for count in (1, 2, 3):
            pixels = npy(np.zeros((count, 1, 1, 1), np.uint8))
            headers = {"Content-Type": "application/x-npy"}
            answer = await client.post("/classify", content=pixels, headers=headers)
            assert len(answer.json()["predictions"]) == count
        assert there == [3]
