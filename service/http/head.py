"""What the head of a request must be, beyond what the parser of HTTP asks of it."""

import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

from service.errors import MalformedError, ServiceError

MAX_BYTES: Final = 2**16
"""Of a target, of a head, and of the trailers behind a body."""

MAX_FIELDS: Final = 100
"""Of a head, and of the trailers."""

FRAMING: Final = frozenset({b"host", b"transfer-encoding", b"te"})
"""Fields, by their names in small letters, that `check_framing` looks at."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_AUTHORITY: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
_REMEMBERED: Final = 256  # targets, and the bytes of the longest
_CLOSE: Final = MappingProxyType({"Connection": "close"})

Fields = Sequence[tuple[bytes, bytes]]


class FramingError(MalformedError):
    """Where the request ends, or whom it is for, could be read in two ways."""

    headers = _CLOSE


class FieldsTooLargeError(ServiceError):
    """The head or the trailers exceed their limit."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    reason = "too-large"
    headers = _CLOSE

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The {what} of the request are too large; at most {MAX_BYTES} bytes in at most "
            f"{MAX_FIELDS} fields are accepted."
        )


class TargetTooLongError(ServiceError):
    """The target exceeds its limit."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG
    reason = "too-large"
    headers = _CLOSE

    def __init__(self) -> None:
        super().__init__(f"The URL is too long; at most {MAX_BYTES} bytes are accepted.")


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
    FramingError
        RFC 9112, 3.2 and 6.1: whoever stands before the service may have read it otherwise.
    """
    if version not in ("1.1", "1.0"):
        raise FramingError(f"The request is HTTP/{version}; HTTP/1.1 is accepted.")
    hosts = 0
    for name, value in fields:
        if name == b"host":
            hosts += 1
            if not _AUTHORITY.fullmatch(value):
                raise FramingError("The field Host is no name of a host; one is accepted.")
        elif name == b"te":
            _check_accepted_codings(value)
        elif version == "1.0" or value.lower() != b"chunked":
            raise FramingError(
                "The field Transfer-Encoding is not understood; 'chunked' alone, in HTTP/1.1, "
                "is accepted."
            )
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        count = "no field" if hosts == 0 else f"{hosts} fields"
        raise FramingError(f"The request has {count} Host; exactly one is accepted.")


def _check_accepted_codings(value: bytes) -> None:
    """RFC 9110, 10.1.4: who names `chunked` there means the other field."""
    if b"chunked" in (coding.partition(b";")[0].strip() for coding in value.lower().split(b",")):
        raise FramingError("The field TE names 'chunked'; what else it names is accepted.")


class Target(NamedTuple):
    """What a request is for: its path as it came, as it is meant, and its query."""

    raw_path: bytes
    path: str
    query: bytes


def read_target(method: str, target: bytes) -> Target:
    """Read path and query of a target, which may be a whole URL (RFC 9112, 3.2.2).

    Raises
    ------
    FramingError
        If it is none of the forms that are for an origin server.
    MalformedError
        If the path has a control character, percent-encoded: no name has one, and a reader of
        paths that takes a line's end for theirs would be led astray.
    """
    if len(target) <= _REMEMBERED:
        return _read_short_target(method, target)
    return _read_target(method, target)


def _read_target(method: str, target: bytes) -> Target:
    if method == "CONNECT":
        raise FramingError("CONNECT is for proxies; a request with a path is accepted.")
    if not target.startswith(b"/"):
        target = _without_authority(method, target)
    raw_path, _, query = target.partition(b"#")[0].partition(b"?")
    path = raw_path.decode("ascii")
    if "%" in path:
        path = unquote(path)
        if _CONTROL.search(path):
            raise MalformedError(
                "The path has a control character; names without any are accepted."
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
    raise FramingError("The target of the request is no path; one that begins with / is accepted.")
