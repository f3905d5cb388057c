"""What a client prefers of how it is answered: the header `Prefer` (RFC 7240)."""

import math
import re
from typing import Final

_WAIT: Final = re.compile(
    rb"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE
)
_ASYNC: Final = re.compile(rb"(?:^|[,;])\s*respond-async\s*(?=[,;]|$)", re.IGNORECASE)


def preferred_wait(header: bytes | None) -> float:
    """Return the seconds of `wait` (4.3); infinity where it cannot be read, as where it is not."""
    found = _WAIT.search(header) if header else None
    return float(found[1]) if found else math.inf


def prefers_async(header: bytes | None) -> bool:
    """Whether an answer is preferred that comes before the work is done (4.1)."""
    return header is not None and _ASYNC.search(header) is not None
