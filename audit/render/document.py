"""JSON as people read it."""

import json
from collections.abc import Mapping
from typing import Any


def write_document(document: Mapping[str, Any]) -> bytes:
    """Write JSON in the order given, indented, as UTF-8."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
