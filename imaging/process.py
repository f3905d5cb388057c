"""Processes that work for another one: how they are forked, and that they end with it."""

import ctypes
import os
import signal
import sys
import warnings
from typing import Final

ENDING: Final = tuple(
    number
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
)
"""Signals that ask a service to end; of a terminal that is closed, unless nohup started it."""

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """Make this process end as soon as it is told to, or its parent ends, within a decoder too."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def fork() -> int:
    """Fork this process, which has started no threads of its own; return as `os.fork` does."""
    with warnings.catch_warnings():
        # OpenBLAS ends its threads before a fork; that of onnxruntime waits and holds nothing.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
