"""Pure codecs: images out of a request, answers into a response."""

from service.protocol.answers import (
    Classification,
    ServedIdentity,
    classification,
    write_classification,
)
from service.protocol.media import Body, read_parts
from service.protocol.parts import Part
from service.protocol.prepare import prepare

__all__ = [
    "Body",
    "Classification",
    "Part",
    "ServedIdentity",
    "classification",
    "prepare",
    "read_parts",
    "write_classification",
]
