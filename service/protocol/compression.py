"""Compressed bodies: gzip (RFC 1952), and deflate, which in HTTP is zlib's format (RFC 1950)."""

import zlib
from functools import lru_cache
from typing import Final, Literal

from service.errors import ServiceError, TooLargeError
from service.protocol.accept import read_weights

Coding = Literal["gzip", "deflate"]

_WINDOW: Final[dict[str, int]] = {"gzip": 31, "deflate": 15}
_ACCEPTED = "gzip and deflate, one of them at a time, are accepted"
_FASTEST = 1

_MEMBER = b"\x1f\x8b"
"""What a member of a gzip file begins with: there may be several, one behind the other."""

_MEMBERS: Final = 100
"""So many are accepted, each of which costs a look at all that is left."""


def unpack(body: bytes, coding: str, max_bytes: int) -> bytes:
    """Return a body as it was before its `Content-Encoding`, never inflating more than the bound.

    Raises
    ------
    ServiceError (415)
        If the coding is another.
    ServiceError (400)
        If the body is not of that coding, is cut off, or goes on after its end.
    TooLargeError
        If it unpacks to more than `max_bytes`.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _WINDOW:
        raise ServiceError(415, f"The content encoding is '{coding}'; {_ACCEPTED}.")
    content, room, left = list[bytes](), max_bytes, memoryview(body)
    for _ in range(_MEMBERS if coding == "gzip" else 1):
        inflater = zlib.decompressobj(_WINDOW[coding])
        try:
            content.append(inflater.decompress(left, room + 1))
        except zlib.error as error:
            raise ServiceError(400, f"The body is not {coding} ({error}); {_ACCEPTED}.") from None
        room -= len(content[-1])
        if room < 0:
            raise TooLargeError(
                f"The body unpacks to too much; at most {max_bytes} bytes are accepted."
            )
        if inflater.eof and not inflater.unused_data:
            return b"".join(content)
        if not inflater.unused_data.startswith(_MEMBER):
            break
        left = left[len(left) - len(inflater.unused_data) :]
    fault = "goes on after its end" if inflater.eof else "is cut off"
    raise ServiceError(400, f"The {coding} body {fault}; one complete stream is accepted.")


@lru_cache(64)
def accepted_coding(header: str) -> Coding | None:
    """Choose what an `Accept-Encoding` header asks for; gzip where both are as welcome."""
    weights = read_weights(header)
    gzip, deflate = weights.get("gzip", 0.0), weights.get("deflate", 0.0)
    if not gzip and not deflate:
        return None
    return "gzip" if gzip >= deflate else "deflate"


def pack(body: bytes, coding: Coding) -> bytes:
    """Compress an answer, quickly rather than well."""
    deflater = zlib.compressobj(_FASTEST, zlib.DEFLATED, _WINDOW[coding])
    return deflater.compress(body) + deflater.flush()
