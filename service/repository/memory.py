"""Memory that sessions leave behind when they end: kept small, and given back to the system."""

import ctypes
import os
from typing import Any, Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2

_libc: Final[Any] = ctypes.CDLL(None)


def use_few_arenas() -> None:
    """Have all threads but the first share one arena of glibc, unless the environment says more.

    A session is opened on one thread, used on a second and closed on a third. By default each may
    take from an arena of its own, of which there are eight a core, and what is freed in one is of
    no use to the others. It holds for arenas that are not there yet.
    """
    told = {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES"} & os.environ.keys()
    if not told and hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give free memory back to the system, where the C library is glibc.

    It takes about a millisecond, in which Python goes on.
    """
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
