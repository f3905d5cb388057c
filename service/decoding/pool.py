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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from typing import Any, Final

import numpy as np
import structlog

from artifact.card import InputSpec
from artifact.contract import Images
from imaging.process import start_fork_server
from service.decoding.prepare import check_arrays, refusal
from service.decoding.worker import Fault, serve
from service.engine import DeadlineError
from service.errors import ServiceError, UnavailableError
from service.protocol import Part

NAME: Final = "decoder"
"""Of the processes that decode."""

_AT_ONCE: Final = 16
"""Images of one request that are decoded before others have their turn."""

log = structlog.get_logger()


class _EndedError(Exception):
    """A decoder has ended; with its exit status, or minus the number of a signal."""


class _Decoder:
    """A process that decodes for one request after the other.

    Its pipe is its own: where several read one, all wait for the lock that an ended one held.
    """

    def __init__(self, context: ForkServerContext) -> None:
        start_fork_server()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), name=NAME, daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends when the process does

    def ask(self, asked: tuple[Any, ...]) -> Images | Fault:
        """Return what `decode_and_fit` does; raise _EndedError if the process ends meanwhile."""
        try:
            self._pipe.send(asked)
            answer: Images | Fault | Exception = self._pipe.recv()
        except (EOFError, OSError):
            self.end()  # nothing more comes through this pipe, even if the process lives
            raise _EndedError(self._process.exitcode) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.join()


@dataclass
class _Turn:
    """What decodes for a request, as long as it does."""

    decoder: _Decoder | None = None
    over: bool = False


class Decoders:
    """As many processes as may decode at the same time."""

    def __init__(self, processes: int) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["service.decoding.server"])
        self._count = processes
        self._turns = asyncio.Semaphore(processes)
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="decoding")
        self._idle: list[_Decoder] = []
        self._busy: set[_Decoder] = set()
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
            async with asyncio.timeout(None if left == math.inf else left), self._turns:
                return await self._ask(asked)
        except TimeoutError:
            raise DeadlineError from None
        except _EndedError as error:
            if self._closed:
                raise _ending() from None
            log.warning("a decoder ended", status=error.args[0])
            raise ServiceError(
                422,
                "The image, or one of those sent, ends what decodes it; a file that can be decoded "
                "is accepted.",
            ) from None

    def start(self) -> None:
        """Start the processes, which takes half a second; the first request would wait for it."""
        for _ in range(self._count):
            if self._closed:  # before they had begun
                return
            try:
                self._put_back(_Decoder(self._context))
            except (EOFError, OSError) as error:  # which requests try again
                if not self._closed:
                    log.warning("a decoder did not start", reason=str(error))
                return

    def close(self) -> None:
        """End all processes, whatever they do, and start none any more."""
        with self._lock:
            self._closed = True
            found = [*self._idle, *self._busy]
            self._idle.clear()
        for decoder in found:
            decoder.end()

    async def _ask(self, asked: tuple[Any, ...]) -> Images | Fault:
        turn = _Turn()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._decode_in_turn, turn, asked)
        finally:
            with self._lock:  # no more than a few assignments long
                turn.over = True
                if turn.decoder:
                    turn.decoder.kill()

    def _decode_in_turn(self, turn: _Turn, asked: tuple[Any, ...]) -> Images | Fault:
        decoder = self._take()
        with self._lock:
            turn.decoder = decoder
            if turn.over or self._closed:
                decoder.kill()
        try:
            answer = decoder.ask(asked)
        except BaseException:
            decoder.kill()
            raise
        finally:
            with self._lock:
                turn.decoder = None
                self._busy.discard(decoder)
        self._put_back(decoder)
        return answer

    def _take(self) -> _Decoder:
        """Return an idle process, or a new one where those have been ended."""
        while True:
            with self._lock:
                if self._closed:
                    raise _ending()
                decoder = self._idle.pop() if self._idle else None
                if decoder:
                    self._busy.add(decoder)
            if decoder is None:
                decoder = _Decoder(self._context)
                with self._lock:
                    self._busy.add(decoder)
                return decoder
            if decoder.alive():
                return decoder
            with self._lock:
                self._busy.discard(decoder)

    def _put_back(self, decoder: _Decoder) -> None:
        with self._lock:
            if not self._closed and len(self._idle) + len(self._busy) < self._count:
                self._idle.append(decoder)
                return
        decoder.end()


def _ending() -> UnavailableError:
    return UnavailableError("The service is ending.")
