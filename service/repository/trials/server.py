"""The process that forks one child a trial: one thread, with everything imported, and no state.

A trial is a socket. What comes back over it is what its child writes and, behind that, the status
that the child ended with. Whoever closes the other end ends the child, and the death of the
service, which closes all of them, ends everything here.
"""

import ctypes
import gc
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

HEAD: Final = struct.Struct("!IQ")
"""What comes before an attempt: its length, and the memory that it may take, both in bytes."""

STATUS: Final = struct.Struct("!i")
"""What a child ended with: its exit status, minus the signal's number, or one that follows."""

TOO_LARGE: Final = 1000
"""It was ended for the memory that it took."""

SLOW_SECONDS: Final = 2.0
"""After which a trial is one of those that may never end, and makes way for others."""

BEHIND_PROGRESS: Final = b"\x1e\n"
"""Ends what a child says before it is done: neither in its outcome nor in a status."""

_TELL_SECONDS: Final = 5.0
_NICENESS: Final = 5
_LOOK_SECONDS: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1


def main(number: int) -> None:
    """Fork a child for each attempt that comes over the socket of this number, until it closes."""
    import service.repository.trials.attempt  # noqa: F401 # here once, and not in each child

    gc.freeze()  # what a collector does not touch stays shared
    _Forking(socket.socket(fileno=number)).run()
    os._exit(0)


class _Forking:
    """Forks children, ends those whose trial is given up, and reports how each ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._trials: dict[int, tuple[int, socket.socket]] = {}
        """By the number of its socket: the child, and the socket."""
        self._most: dict[int, int] = {}
        """Bytes of memory that each child may have."""
        self._brisk: dict[int, float] = {}
        """Children that are not slow yet, and when they will be, in the order they began."""
        self._ended, wakeup = socket.socketpair()
        self._wakeup = wakeup
        for end in (self._ended, wakeup):
            end.setblocking(False)

    def run(self) -> None:
        """Serve until the service closes its end, or is gone."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        try:
            while self._turn():
                pass
        finally:
            for child, _ in self._trials.values():
                os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                while True:
                    os.wait()

    def _turn(self) -> bool:
        sockets = [self._control, self._ended, *(each for _, each in self._trials.values())]
        ready, _, _ = select.select(sockets, [], [], _LOOK_SECONDS if self._trials else None)
        self._make_way()
        self._end_the_large()
        for found in ready:
            if found is self._control:
                if not self._begin():
                    return False
            elif found is self._ended:
                self._ended.recv(2**12)
            elif found.fileno() in self._trials:  # nothing is ever sent this way: it was closed
                child, _ = self._trials.pop(found.fileno())
                os.kill(child, signal.SIGKILL)
                found.close()
        self._reap()
        return True

    def _make_way(self) -> None:
        """Give what is slow less of the CPUs."""
        for child, end in tuple(self._brisk.items()):
            if time.monotonic() > end:
                del self._brisk[child]
                with suppress(OSError):
                    os.setpriority(os.PRIO_PGRP, child, _NICENESS)

    def _end_the_large(self) -> None:
        for number, (child, trial) in tuple(self._trials.items()):
            if _anonymous_bytes(child) > self._most[child]:
                os.kill(child, signal.SIGKILL)
                del self._trials[number]
                _report(trial, TOO_LARGE)

    def _begin(self) -> bool:
        head, sockets, _, _ = socket.recv_fds(self._control, HEAD.size, 1)
        if not sockets:
            return False
        trial = socket.socket(fileno=sockets[0])
        length, memory = HEAD.unpack(head)
        attempt = b""
        while len(attempt) < length:
            attempt += self._control.recv(length - len(attempt))
        server = os.getpid()
        child = os.fork()
        if child == 0:
            self._be_the_child(trial, attempt, server)
        self._trials[trial.fileno()] = child, trial
        self._most[child] = _anonymous_bytes(server) + memory
        self._brisk[child] = time.monotonic() + SLOW_SECONDS
        return True

    def _reap(self) -> None:
        """Collect children that have ended; those of trials that were given up say nothing."""
        with suppress(ChildProcessError):
            while True:
                child, status = os.waitpid(-1, os.WNOHANG)
                if child == 0:
                    return
                self._brisk.pop(child, None)
                del self._most[child]
                number = next((n for n, (pid, _) in self._trials.items() if pid == child), None)
                if number is not None:
                    _, trial = self._trials.pop(number)
                    _report(trial, os.waitstatus_to_exitcode(status))

    def _be_the_child(self, trial: socket.socket, attempt: bytes, server: int) -> NoReturn:
        status = 1
        try:
            _die_with_parent(server)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # The others' sockets would stay open for as long as this child lives.
            for other in (self._control, self._ended, self._wakeup):
                other.close()
            for _, other in self._trials.values():
                other.close()
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            from service.repository.trials.attempt import try_version

            given = pickle.loads(attempt)  # noqa: S301 # from the service itself
            tried = try_version(given, _Telling(trial))
            trial.sendall(tried.model_dump_json().encode())
            status = 0
        finally:
            os._exit(status)


class _Telling:
    """Says over a trial's socket what is being done, every few seconds once it gets late."""

    def __init__(self, trial: socket.socket) -> None:
        self._trial = trial
        self._late = self._due = time.monotonic() + SLOW_SECONDS
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._due or (now >= self._late and stage != self._stage):
            self._due, self._stage = now + _TELL_SECONDS, stage
            self._trial.sendall(f"{stage} {done} {total}".encode() + BEHIND_PROGRESS)


def _report(trial: socket.socket, status: int) -> None:
    with trial, suppress(OSError):
        trial.sendall(STATUS.pack(status))


def _anonymous_bytes(process: int) -> int:
    """Return the memory that a process holds and shares with no file; 0 where that is not told."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


def _die_with_parent(server: int) -> None:
    """Ask the kernel to end this process with its parent, where there is such a call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)
