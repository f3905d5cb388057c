"""What the head of a request must be, beyond what the parser of HTTP asks of it."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

from artifact.layout import CONTROL
from service.errors import CLOSE, ServiceError

MAX_BYTES: Final = 2**16
"""Of a target, of a head, and of the trailers behind a body."""

MAX_FIELDS: Final = 100
"""Of a head, and of the trailers."""

FRAMING: Final = frozenset({b"host", b"transfer-encoding", b"te"})
"""Fields, by their names in small letters, that `check_framing` looks at."""

_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_AUTHORITY: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
_REMEMBERED: Final = 256  # targets, and the bytes of the longest

Fields = Sequence[tuple[bytes, bytes]]


def ambiguous(sentence: str) -> ServiceError:
    """Say that where the request ends, or whom it is for, could be read in two ways."""
    return ServiceError(400, sentence, headers=CLOSE)


def fields_too_large(what: str) -> ServiceError:
    """Say that the head or the trailers exceed their limit."""
    return ServiceError(
        431,
        f"The {what} of the request are too large; at most {MAX_BYTES} bytes in at most "
        f"{MAX_FIELDS} fields are accepted.",
        headers=CLOSE,
    )


def target_too_long() -> ServiceError:
    """Say that the target exceeds its limit."""
    sentence = f"The URL is too long; at most {MAX_BYTES} bytes are accepted."
    return ServiceError(414, sentence, headers=CLOSE)


def check_framing(fields: Fields, version: str) -> None:
    """Check the fields of a head that say where the request ends and whom it is for.

    Parameters
    ----------
    fields
        Those of `FRAMING`. That a length is a number, stands there once and not beside a transfer
        coding, the parser has seen to.
    version
        Of HTTP, as the request line has it.

    Raises
    ------
    ServiceError (400)
        RFC 9112, 3.2 and 6.1: whoever stands before the service may have read it otherwise.
    """
    if version not in ("1.1", "1.0"):
        raise ambiguous(f"The request is HTTP/{version}; HTTP/1.1 is accepted.")
    hosts = 0
    for name, value in fields:
        if name == b"host":
            hosts += 1
            if not _AUTHORITY.fullmatch(value):
                raise ambiguous("The field Host is no name of a host; one is accepted.")
        elif name == b"te":
            _check_accepted_codings(value)
        elif version == "1.0" or value.lower() != b"chunked":
            raise ambiguous(
                "The field Transfer-Encoding is not understood; 'chunked' alone, in HTTP/1.1, "
                "is accepted."
            )
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        count = "no field" if hosts == 0 else f"{hosts} fields"
        raise ambiguous(f"The request has {count} Host; exactly one is accepted.")


def _check_accepted_codings(value: bytes) -> None:
    """RFC 9110, 10.1.4: who names `chunked` there means the other field."""
    if b"chunked" in (coding.partition(b";")[0].strip() for coding in value.lower().split(b",")):
        raise ambiguous("The field TE names 'chunked'; what else it names is accepted.")


class Target(NamedTuple):
    """What a request is for: its path as it came, as it is meant, and its query."""

    raw_path: bytes
    path: str
    query: bytes


def read_target(method: str, target: bytes) -> Target:
    """Read path and query of a target, which may be a whole URL (RFC 9112, 3.2.2).

    Raises
    ------
    ServiceError (400)
        If it is none of the request targets that are for an origin server.
    ServiceError (400)
        If the path has a control character, percent-encoded: no name has one, and a reader of
        paths that takes a line's end for theirs would be misled.
    """
    if len(target) <= _REMEMBERED:
        return _read_short_target(method, target)
    return _read_target(method, target)


def _read_target(method: str, target: bytes) -> Target:
    if method == "CONNECT":
        raise ambiguous("CONNECT is for proxies; a request with a path is accepted.")
    if not target.startswith(b"/"):
        target = _without_authority(method, target)
    raw_path, _, query = target.partition(b"#")[0].partition(b"?")
    path = raw_path.decode("ascii")
    if "%" in path:
        path = unquote(path)
        if CONTROL.search(path):
            raise ServiceError(
                400, "The path has a control character; names without any are accepted."
            )
    return Target(raw_path, path, query)


_read_short_target = lru_cache(_REMEMBERED)(_read_target)


def _without_authority(method: str, target: bytes) -> bytes:
    authority = _ABSOLUTE.match(target)
    if authority is not None:
        rest = target[authority.end() :]
        return rest if rest.startswith(b"/") else b"/" + rest
    if target == b"*" and method == "OPTIONS":
        return target
    raise ambiguous("The target of the request is no path; one that begins with / is accepted.")
