"""Waiting for what no event announces: with a limit that only what hangs reaches."""

import asyncio
import time
from collections.abc import Callable

LIMIT = 60.0
"""Seconds."""


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop turn until something holds."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait, without an event loop, until something holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)
