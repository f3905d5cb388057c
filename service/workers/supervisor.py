"""The process that starts the workers, starts again those that die, and ends with all of them.

It forks, so that what was imported is there once: it has no event loop and starts no thread.
"""

import gc
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

import structlog

from imaging.process import ENDING, end_when_asked, end_with_parent, fork
from imaging.refusal import RefusedError
from service.workers.channel import Channel
from service.workers.listener import OpenConnections
from service.workers.member import Member
from service.workers.messages import (
    Ask,
    Beat,
    Counted,
    Elsewhere,
    End,
    FromWorker,
    Refused,
    Reply,
    State,
)
from service.workers.questions import Questions, Worker
from service.workers.silence import LOOK_SECONDS, Silence

_MOST_FAILED: Final = 3
"""Starts that may fail one after another; then the service ends."""

_SETTLED_SECONDS: Final = 10.0
"""A worker that lived so long is started again at once."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

_KILL_SECONDS: Final = 1.0
"""What workers have to end in after a second signal."""

_WATCHED: Final = (*ENDING, signal.SIGCHLD)

log = structlog.get_logger()


class WorkerError(RefusedError):
    """The workers could not be kept; the message is one sentence."""


class Supervisor:
    """Keeps as many workers as were asked for.

    Parameters
    ----------
    count
        How many.
    work
        What a worker does, in a process of its own; it returns when that is to end.
    listeners
        Sockets that all workers listen on. What is queued there outlives a worker.
    poll_seconds
        How often all look at the repository; never if 0.
    silent_seconds
        How long a worker may give no sign of life before it is killed, and replaced; for ever if 0.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[Member], None],
        listeners: Sequence[socket.socket],
        poll_seconds: float,
        silent_seconds: float,
    ) -> None:
        self._count, self._work, self._listeners = count, work, listeners
        self._poll_seconds = poll_seconds or math.inf
        self._questions = Questions()
        self._silence = Silence(silent_seconds)
        self._connections = OpenConnections(count)
        self._due: dict[int, float] = {}
        self._failed = self._short = 0
        self._was_ready = False
        self._signals: list[int] = []
        self._ending = False
        self._killed = 0
        self._kill_at = self._poll_at = math.inf
        self._failure: str | None = None
        self._wakeup, self._waker = socket.socketpair()

    def run(self) -> None:
        """Return when all have ended as they were asked to.

        Raises
        ------
        WorkerError
            If a worker could not be started, or died while the service ended.
        """
        self._wakeup.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for watched in _WATCHED:
            signal.signal(watched, self._signalled)
        gc.collect()
        gc.freeze()  # what a collector does not touch stays shared
        for number in range(self._count):
            self._start(number)
        self._poll_at = time.monotonic() + self._poll_seconds
        while self._questions.workers or self._due:
            self._turn()
        if self._killed:
            os._exit(128 + self._killed)
        if self._failure is not None:
            raise WorkerError(self._failure)

    def _turn(self) -> None:
        """Wait until something happens, and see to it."""
        workers = self._questions.workers
        self._wait(workers)
        for number in self._take_signals():
            self._end_by(number)
        for worker in tuple(workers):
            worker.channel.flush()
            self._listen(worker)
        for worker in self._silence.look(workers):
            seconds = round(worker.silent)
            log.error("worker hangs", worker=worker.number, pid=worker.pid, silent_seconds=seconds)
            os.kill(worker.pid, signal.SIGKILL)
        for worker in tuple(workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._ended(worker, os.waitstatus_to_exitcode(status))
        self._questions.expire()
        now = time.monotonic()
        if now >= self._kill_at:
            self._signal_all(signal.SIGKILL)
            self._kill_at = math.inf
        if now >= self._poll_at:
            self._questions.poll()
            self._poll_at = now + self._poll_seconds
        for number in [each for each, due in self._due.items() if due <= now]:
            del self._due[number]
            self._questions.restarts += 1
            self._start(number, replaces=True)
        self._tell()

    def _wait(self, workers: Sequence[Worker]) -> None:
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        for worker in workers:
            waits = select.POLLOUT if worker.channel.waits else 0
            poll.register(worker.channel.connection, select.POLLIN | waits)
        until = min(self._kill_at, self._poll_at, self._questions.deadline, *self._due.values())
        left = min(LOOK_SECONDS, max(0.0, until - time.monotonic()))
        poll.poll(math.ceil(1000 * left))

    def _take_signals(self) -> list[int]:
        with suppress(BlockingIOError):
            while self._wakeup.recv(256):
                pass
        signals, self._signals = self._signals, []
        return signals

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number in ENDING:
            self._signals.append(number)

    def _end_by(self, number: int) -> None:
        """End all when their requests are answered; at once when asked again."""
        if not self._ending:
            self._end(number)
        elif not self._killed:
            self._killed = number
            self._kill_at = time.monotonic() + _KILL_SECONDS
            self._ask_all(number)

    def _end(self, number: int) -> None:
        self._ending = True
        self._due.clear()
        self._poll_at = math.inf
        # As soon as the last worker takes no more connections, nobody does.
        for each in self._listeners:
            each.close()
        self._ask_all(number)

    def _ask_all(self, number: int) -> None:
        for worker in self._questions.workers:
            if worker.heard:  # not by a signal, which may come to it from elsewhere too
                worker.channel.send(End(number))
            else:
                os.kill(worker.pid, number)

    def _signal_all(self, number: int) -> None:
        for worker in self._questions.workers:
            os.kill(worker.pid, number)

    def _start(self, number: int, *, replaces: bool = False) -> None:
        ours, theirs = socket.socketpair()
        # What comes to the child before it has handlers of its own waits until then.
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        pid = fork()
        if pid == 0:
            ours.close()
            unloaded = self._questions.unloaded
            self._become(Member(number, theirs, self._connections, unloaded, replaces=replaces))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        theirs.close()
        self._questions.join(Worker(number, pid, Channel(ours)))
        log.info("worker started", worker=number, pid=pid)

    def _become(self, member: Member) -> NoReturn:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for worker in self._questions.workers:
                worker.channel.close()
            self._wakeup.close()
            self._waker.close()
            end_with_parent()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            end_when_asked()  # while it has nothing under way
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            self._work(member)
            status = 0
        except RefusedError as error:
            member.refuse(str(error))
        except BaseException:
            log.exception("a worker stopped at an error", worker=member.number)
        finally:
            with suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(status)

    def _listen(self, worker: Worker) -> None:
        for message in worker.channel.receive():
            self._hear(worker, message)

    def _hear(self, worker: Worker, message: FromWorker) -> None:
        worker.silent = 0.0
        if isinstance(message, Beat):
            return
        worker.heard = True
        if isinstance(message, State):
            worker.unready = message.unready
            if message.started and not worker.started:
                worker.started, self._failed = True, 0
        elif isinstance(message, Counted):
            worker.counted = message.metrics
        elif isinstance(message, Refused):
            worker.refused = message.sentence
        elif isinstance(message, Ask):
            self._questions.ask(worker, message)
        elif isinstance(message, Reply):
            self._questions.answered(worker, message)

    def _ended(self, worker: Worker, status: int) -> None:
        self._listen(worker)  # what it said last
        self._questions.died(worker)
        self._connections.leave(worker.number)
        worker.channel.close()
        how = _how(status)
        if self._ending:
            if status and not self._killed and self._failure is None:
                self._failure = (
                    f"While the service ended, worker {worker.number} did with {how}; what it had "
                    "not answered is lost, and the log may say why."
                )
            return
        log.error("worker ended", worker=worker.number, pid=worker.pid, how=how)
        if not worker.started and self._give_up(worker, how):
            return
        lived = time.monotonic() - worker.began
        self._short = 0 if worker.started and lived >= _SETTLED_SECONDS else self._short + 1
        pause = (
            0.0 if self._short < 2 else min(_FIRST_PAUSE * 2 ** (self._short - 2), _LONGEST_PAUSE)
        )
        self._due[worker.number] = time.monotonic() + pause

    def _give_up(self, worker: Worker, how: str) -> bool:
        """End the service if its workers cannot be started; return whether that is so."""
        self._failed += 1
        if worker.refused is not None and not self._was_ready:
            self._failure = worker.refused
        elif self._failed >= _MOST_FAILED:
            self._failure = worker.refused or (
                f"A worker ended {self._failed} times in a row before it had loaded its models, "
                f"the last time with {how}; the log may say why."
            )
        if self._failure is not None:
            self._end(signal.SIGTERM)
        return self._failure is not None

    def _tell(self) -> None:
        """Tell each worker what has changed of the others."""
        workers = self._questions.workers
        unready = {each.number: each.unready for each in workers if each.unready is not None}
        unready |= dict.fromkeys(self._due, "it has died, and is being started again.")
        self._was_ready = self._was_ready or not unready
        for worker in workers:
            others = [each for each in sorted(unready) if each != worker.number]
            reason = f"Worker {others[0]} is not ready: {unready[others[0]]}" if others else None
            if worker.heard and reason != worker.told:
                worker.told = reason
                worker.channel.send(Elsewhere(reason))


def _how(status: int) -> str:
    return f"the signal {signal.Signals(-status).name}" if status < 0 else f"the status {status}"
