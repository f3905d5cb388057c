"""How many fields a message has, counted in its bytes before it is read.

Two bytes can be a field that takes hundreds once it is an object.
"""

from typing import Any, Final

from service.errors import TooLargeError

WORTH_COUNTING: Final = 2**16
"""Bytes up to which a message is read whatever its fields are."""

MOST: Final = 2**16
"""Fields of a larger one, those of the messages in it too: its tensors are one field each."""

_SKIPPED: Final = {1: 8, 5: 4}
"""Bytes of a value by its wire type, where it has a fixed size."""


def check_fields(described: Any, data: bytes) -> None:
    """Count the fields of a message, down to `MOST`.

    Parameters
    ----------
    described
        Descriptor of the message: it says which fields are messages too.

    Raises
    ------
    TooLargeError
        If they are more.
    ValueError
        If the bytes are no message of this kind.
    """
    left = MOST
    waiting = [(described, memoryview(data))]
    while waiting:
        kind, text = waiting.pop()
        fields, place = kind.fields_by_number, 0
        while place < len(text):
            left -= 1
            if left < 0:
                raise TooLargeError(
                    f"The message has too many fields; at most {MOST} are accepted, tensors as raw "
                    "or packed contents."
                )
            tag, place = _varint(text, place)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                _, place = _varint(text, place)
            elif wire == 2:
                size, begin = _varint(text, place)
                place = begin + size
                found = fields.get(number)
                if found is not None and found.message_type is not None:
                    waiting.append((found.message_type, text[begin:place]))
            elif wire in _SKIPPED:
                place += _SKIPPED[wire]
            else:
                raise _broken()
            if place > len(text):
                raise _broken()


def _varint(text: memoryview, place: int) -> tuple[int, int]:
    """Return a number, and where the next thing begins."""
    value = shift = 0
    while place < len(text) and shift < 70:
        byte = text[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
        shift += 7
    raise _broken()


def _broken() -> ValueError:
    return ValueError("The bytes are no message.")
