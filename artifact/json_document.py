"""JSON that all readers read alike."""

import json
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]


def read_json(content: bytes) -> Document:
    """Read a JSON object of which every reader reads the same.

    Raises
    ------
    ValueError
        If it is none, is no UTF-8 as RFC 8259 asks, or has a name twice: readers differ in which of
        two values counts. NaN and infinity, which Python reads, are no JSON.
    """
    try:
        text = content.decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


def _once(pairs: Iterable[tuple[str, Any]]) -> Document:
    read: Document = {}
    for name, value in pairs:
        if name in read:
            raise ValueError(f"it has {name!r} twice")
        read[name] = value
    return read


def _refuse(constant: str) -> Any:
    raise ValueError(f"it has {constant}, which no JSON has")
