"""Processes that decode, each of which is ended when its request is.

A decoder cannot be interrupted: a thread that a hostile file holds for minutes outlives the
deadline, the client, and the wish to end the service. A process does not, and a decoder that
crashes takes nothing else along.
"""

import asyncio
import math
import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

import numpy as np
import structlog
from pebble import ProcessExpired, ProcessPool

from artifact.card import InputSpec
from artifact.contract import Images
from imaging import FitPolicy
from imaging.process import end_with_parent
from service.decoding.prepare import check_arrays, refusal
from service.decoding.worker import Fault, decode_and_fit
from service.engine import DeadlineError
from service.errors import ServiceError, UnavailableError
from service.protocol import Part

_AT_ONCE: Final = 16
"""Images of one request that are decoded before others have their turn."""

log = structlog.get_logger()


class Decoders:
    """As many processes as may decode at the same time."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["service.decoding.worker"])
        self._pool: ProcessPool | None = None
        self._closed = False
        self._lock = threading.Lock()

    async def prepare(
        self, parts: Sequence[Part], spec: InputSpec, *, max_pixels: int, deadline: float
    ) -> Images:
        """Decode and fit images, in their order.

        Parameters
        ----------
        deadline
            On `time.monotonic`'s clock.

        Returns
        -------
        uint8 [N, C, size, size]

        Raises
        ------
        ServiceError
            As `service.decoding.prepare` does, and 422 for a file that ends its decoder.
        DeadlineError
            If the deadline passes; what decoded is ended then.
        """
        check_arrays(parts, spec, max_pixels)
        found = []
        for start in range(0, len(parts), _AT_ONCE):
            some = parts[start : start + _AT_ONCE]
            images = await self._decode(some, spec, max_pixels, deadline)
            if isinstance(images, Fault):
                raise refusal(images, some)
            found.append(images)
        return found[0] if len(found) == 1 else np.concatenate(found)

    async def _decode(
        self, parts: Sequence[Part], spec: InputSpec, max_pixels: int, deadline: float
    ) -> Images | Fault:
        contents = [part.content for part in parts]
        asked = contents, spec.channels, spec.fit, max_pixels, spec.white_level
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(None if left == math.inf else left):
                try:
                    return await self._ask(asked)
                except BrokenProcessPool:  # idle processes were ended from outside
                    return await self._ask(asked)
        except TimeoutError:
            raise DeadlineError from None
        except ProcessExpired as error:
            log.warning("a decoder ended", status=error.exitcode)
            raise ServiceError(
                422,
                "The image, or one of those sent, ends what decodes it; a file that can be decoded "
                "is accepted.",
            ) from None

    def start(self) -> None:
        """Start the processes, which takes half a second; the first request would wait for it."""
        with self._lock:
            if self._closed:  # before they had begun: nobody would end them
                return
            self._running().schedule(decode_and_fit, args=([], 1, FitPolicy(1), 1))

    def close(self) -> None:
        """End all processes, whatever they do, and start none any more."""
        with self._lock:
            self._closed = True
            self._end()

    async def _ask(self, asked: tuple[Any, ...]) -> Images | Fault:
        pool, future = await asyncio.to_thread(self._schedule, asked)
        try:
            return await asyncio.wrap_future(future)  # which is cancelled as the task is
        except BrokenProcessPool:
            await asyncio.to_thread(self._replace, pool)
            raise

    def _schedule(self, asked: tuple[Any, ...]) -> tuple[ProcessPool, Future[Images | Fault]]:
        with self._lock:
            pool = self._running()
            return pool, pool.schedule(decode_and_fit, args=asked)

    def _running(self) -> ProcessPool:
        if self._closed:
            raise UnavailableError("The service is ending.")
        if self._pool is not None and not self._pool.active:
            self._end()
        if self._pool is None:
            self._pool = ProcessPool(
                self._processes, initializer=end_with_parent, context=self._context
            )
        return self._pool

    def _replace(self, pool: ProcessPool) -> None:
        with self._lock:
            if self._pool is pool:
                self._end()

    def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()
