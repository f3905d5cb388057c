"""Processes that work for another one: how they are forked, and that they end with it."""

import ctypes
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from multiprocessing import forkserver
from types import FrameType
from typing import Final

ENDING: Final = tuple(
    number
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
)
"""Signals that ask a service to end; of a terminal that is closed, unless nohup started it."""

_PR_SET_PDEATHSIG: Final = 1
_SAFE_PATH: Final = "PYTHONSAFEPATH"
_STARTING: Final = threading.Lock()


def end_when_asked() -> None:
    """Have the first of these signals end this process with 0, as long as it has nothing to lose.

    It does not unwind: what is being imported, or waits for that on another thread, is not waited
    for. Processes that it has started end with it.
    """
    for number in ENDING:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    with suppress(Exception):  # of a stream that is closed, or is being written to right here
        sys.stderr.flush()
    os._exit(0)


def end_with_parent() -> None:
    """Make this process end as soon as its parent ends, whatever it is in the middle of."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start_fork_server() -> None:
    """Start the process that `multiprocessing` forks others from, unless it runs.

    It imports nothing from the folder that this process is in, where Python would look first: for
    somebody's own `models`, or a `signal.py`.
    """
    with _STARTING:
        before = os.environ.get(_SAFE_PATH)
        os.environ[_SAFE_PATH] = "1"
        try:
            forkserver.ensure_running()
        finally:
            del os.environ[_SAFE_PATH]
            os.environ.update({} if before is None else {_SAFE_PATH: before})


def fork() -> int:
    """Fork this process, which has started no threads of its own; return as `os.fork` does."""
    with warnings.catch_warnings():
        # OpenBLAS ends its threads before a fork; that of onnxruntime waits and holds nothing.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
