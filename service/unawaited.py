"""Threads that the end of the service does not wait for, since they are inside of a library.

One that imports, or opens a graph, cannot be told to stop.
"""

import threading
from collections.abc import Callable
from typing import Final

_NAME: Final = "unawaited"


def begin(work: Callable[[], object]) -> None:
    """Do something on a thread that nobody has to wait for."""
    threading.Thread(target=work, name=_NAME, daemon=True).start()


def are_left() -> bool:
    """Whether any of them still works: the interpreter would take its thread away from it."""
    return any(thread.name == _NAME for thread in threading.enumerate())
