"""Pure codecs: images out of a request, answers into a response."""

from service.protocol.answers import (
    Classification,
    ServedIdentity,
    classification,
    write_classification,
)
from service.protocol.media import Body, read_parts
from service.protocol.parts import Part

__all__ = [
    "Body",
    "Classification",
    "Part",
    "ServedIdentity",
    "classification",
    "read_parts",
    "write_classification",
]
