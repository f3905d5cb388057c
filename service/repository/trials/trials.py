"""The service's side of trials: which run at once, how long they may take, how they ended."""

import asyncio
import signal
import socket
from asyncio import Semaphore
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from service.engine import ProviderCandidates
from service.repository.trials.attempt import Attempt, Tried, too_large
from service.repository.trials.host import ForkServer
from service.repository.trials.server import BEHIND_PROGRESS, SLOW_SECONDS, STATUS, TOO_LARGE
from service.settings import Settings

log = structlog.get_logger()

_AT_ONCE: Final = 16
"""Trials that run at once when all but a few of them are slow."""

_IDLE_SECONDS: Final = 30.0
"""How long the processes are kept for the next version; to start them takes about a second."""

_START_SECONDS: Final = 1.0
"""The same of the one that is forked at the start, after which there is seldom a next one."""

_LARGEST: Final = 2**24
"""Bytes of an outcome; the proof of a graph of a thousand nodes has some thousands."""


class Trials:
    """Tries versions, as many at once as there are CPUs, and more where some are slow.

    Its methods are called on an event loop. The processes live while there is
    something to try, and a little longer.

    Parameters
    ----------
    settings
        What the versions would be served with.
    server
        Forks the processes; by default one of its own.
    """

    def __init__(self, settings: Settings, server: ForkServer | None = None) -> None:
        self._settings = settings
        self._server = server or ForkServer()
        self._wanted = 0
        self._ending: asyncio.TimerHandle | None = None
        self._room, self._lanes = Semaphore(_AT_ONCE), Semaphore(settings.cpus)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places for versions that are tried at once; the others wait for it."""
        self._wanted += 1
        self._stay()
        try:
            async with self._room, self._lane():
                yield
        finally:
            self._wanted -= 1
            self.rest()

    async def attempt(self, folder: Path, candidates: ProviderCandidates) -> Tried:
        """Try a version, in a place that is held.

        Whatever becomes of the process that does, this says how it came out. Where this is
        cancelled, the process is ended.
        """
        return await self._attempt(Attempt(folder, self._settings, candidates))

    def rest(self) -> None:
        """Let the processes end in a while, unless something is tried then."""
        if not self._wanted:
            self._stay()
            idle = _START_SECONDS if self._server.forked else _IDLE_SECONDS
            self._ending = asyncio.get_running_loop().call_later(idle, self._server.end)

    def prepare(self, *, fork: bool = False) -> None:
        """Start what takes a while to start, since versions will be tried soon.

        Parameters
        ----------
        fork
            Let it be a fork of this process, which has everything imported; to be asked for by a
            process that has started no threads of its own yet, and has no event loop.
        """
        self._server.start(fork=fork)

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._stay()
        self._server.kill()

    def _stay(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    @asynccontextmanager
    async def _lane(self) -> AsyncIterator[None]:
        """Hold one of as many places as there are CPUs, until it gets late."""
        await self._lanes.acquire()
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._lanes.release()

        late = asyncio.get_running_loop().call_later(SLOW_SECONDS, release)
        try:
            yield
        finally:
            late.cancel()
            release()

    async def _attempt(self, attempt: Attempt) -> Tried:
        seconds = self._settings.load_seconds
        trial = self._server.begin(attempt)
        try:
            async with asyncio.timeout(seconds):
                answer = await _read(trial, attempt.folder)
        except TimeoutError:
            return Tried(
                refused=f"Trying it takes more than the {seconds:g} s that it may take; a version "
                "whose first runs end, or a larger ORBITSERVE_LOAD_TIMEOUT, is accepted."
            )
        except OSError as error:
            return Tried(refused=f"The process that tries versions was lost ({error.strerror}).")
        finally:
            trial.close()  # which ends the child
        return _outcome(answer, self._settings)


async def _read(trial: socket.socket, folder: Path) -> bytes:
    """Read how a trial came out and ended, and log what it says of its progress before that."""
    loop, answer, size = asyncio.get_running_loop(), b"", 0
    while size <= _LARGEST and (more := await loop.sock_recv(trial, 2**16)):
        size += len(more)
        *said, answer = (answer + more).split(BEHIND_PROGRESS)
        for each in said:
            stage, done, total = each.decode().rsplit(" ", 2)
            which = {"model": folder.parent.name, "version": folder.name}
            log.info("still loading", **which, stage=stage, done=int(done), total=int(total))
    return answer


def _outcome(answer: bytes, settings: Settings) -> Tried:
    """Read what a child wrote, and the status behind it."""
    said, end = answer[: -STATUS.size], answer[-STATUS.size :]
    if len(end) < STATUS.size or len(answer) > _LARGEST:
        return Tried(refused="The process that tries versions was killed; loading tries it again.")
    (status,) = STATUS.unpack(end)
    if status == 0:
        return Tried.model_validate_json(said)
    if status == TOO_LARGE:
        return too_large(settings)
    if status == -signal.SIGKILL:
        return Tried(
            refused="The process that tried it was killed, as the kernel does when memory runs out."
        )
    how = f"the signal {signal.Signals(-status).name}" if status < 0 else f"the status {status}"
    return Tried(refused=f"The process that tried it crashed, with {how}.")
