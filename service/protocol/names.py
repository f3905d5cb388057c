"""Fields of JSON that are there twice are refused.

Readers differ about which of the two counts (RFC 8259, section 4): a gateway may look at one, and
the service do as the other says.
"""

import json
from collections import Counter
from typing import Any

from service.errors import ServiceError


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its fields; for `json.loads`, as its `object_pairs_hook`.

    Raises
    ------
    ServiceError (400)
        Naming a field that is there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise ServiceError(
            400,
            f"The JSON field '{twice[:64]}' is there twice; an object whose fields have different "
            "names is accepted.",
        )
    return found


def check_names(text: bytes) -> None:
    """Refuse JSON of which any object has a field twice.

    Raises
    ------
    ServiceError (400)
        Naming the field.
    ValueError, RecursionError
        If it is no JSON.
    """
    json.loads(text, object_pairs_hook=unique)
