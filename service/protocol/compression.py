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
    inflater = zlib.decompressobj(_WINDOW[coding])
    try:
        content = inflater.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise ServiceError(400, f"The body is not {coding} ({error}); {_ACCEPTED}.") from None
    if len(content) > max_bytes:
        raise TooLargeError(
            f"The body unpacks to too much; at most {max_bytes} bytes are accepted."
        )
    if not inflater.eof or inflater.unused_data:
        fault = "goes on after its end" if inflater.eof else "is cut off"
        raise ServiceError(400, f"The {coding} body {fault}; one complete stream is accepted.")
    return content


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
