"""API keys: read from a file, read again when it changes, and compared in constant time.

A line is a name, scopes and a key: `press-3 infer sha256:<64 hex digits>`.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

import structlog

from imaging.files import MOST_TEXT, FileRefusedError, read_file
from service.settings import ConfigurationError

Scope = Literal["infer", "admin"]

SCOPES: Final = get_args(Scope)

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the file."""

_SHORTEST: Final = 16
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")

log = structlog.get_logger()

_Fingerprint = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Key:
    """A key, known by its digest.

    Attributes
    ----------
    name
        Who holds it, for the log.
    digest
        Its SHA-256.
    """

    name: str
    scopes: frozenset[Scope]
    digest: bytes


class ApiKeys:
    """The keys that are accepted.

    Parameters
    ----------
    file
        Where they are; None if none is asked for.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._keys: tuple[Key, ...] = ()
        self._seen: _Fingerprint | None = None
        self._next_look = 0.0

    @property
    def asked_for(self) -> bool:
        """Whether calls need a key."""
        return self._file is not None

    def open(self) -> None:
        """Read the file for the first time.

        Raises
        ------
        ConfigurationError
            If it cannot be read, or a line of it is wrong.
        """
        if self._file is not None:
            self._seen, self._keys = _fingerprint(self._file), read_keys(self._file)

    def find(self, presented: str) -> Key | None:
        """Return the key that is presented, if it is one of these.

        Digests are compared, all of them and each in constant time, so that how long it takes
        tells nothing about any key.
        """
        self._look()
        digest = hashlib.sha256(presented.encode()).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _look(self) -> None:
        """Read the file again if it has changed; one that is wrong changes nothing."""
        now = time.monotonic()
        if self._file is None or now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        try:
            seen = _fingerprint(self._file)
            if seen == self._seen:
                return
            self._seen = seen
            self._keys = read_keys(self._file)
        except ConfigurationError as error:
            log.error("the API keys stay as they were", reason=str(error))
            return
        log.info("API keys read", keys=[key.name for key in self._keys])


def read_keys(file: Path) -> tuple[Key, ...]:
    """Read keys from a file; empty lines, and those that begin with `#`, say nothing.

    Raises
    ------
    ConfigurationError
        Naming the line that is wrong, and never what is on it.
    """
    try:
        lines = read_file(file, MOST_TEXT).decode().splitlines()
    except UnicodeDecodeError:
        raise _refused(file, "is not UTF-8") from None
    except FileRefusedError as error:
        raise _refused(file, str(error)) from error
    keys = tuple(_parse(file, lines))
    if not keys:
        raise ConfigurationError(f"The file of API keys {file} holds no key.")
    for what, values in (
        ("name", [key.name for key in keys]),
        ("key", [key.digest for key in keys]),
    ):
        if len(set(values)) < len(values):
            raise ConfigurationError(f"The file of API keys {file} holds a {what} twice.")
    return keys


def _parse(file: Path, lines: list[str]) -> Iterator[Key]:
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key = _key(line.split())
        if key is None:
            raise ConfigurationError(
                f"Line {number} of the file of API keys {file} is wrong; a name, scopes of "
                f"{' and '.join(SCOPES)} with commas between, and a key of at least {_SHORTEST} "
                "ASCII characters or sha256: and 64 hexadecimal digits are accepted."
            )
        yield key


def _key(words: list[str]) -> Key | None:
    if len(words) != 3:
        return None
    name, listed, secret = words
    scopes = listed.split(",")
    if not _NAME.fullmatch(name) or not set(scopes) <= set(SCOPES):
        return None
    if secret.startswith("sha256:"):
        found = _SHA256.fullmatch(secret)
        if found is None:
            return None
        digest = bytes.fromhex(found[1])
    elif len(secret) < _SHORTEST or not secret.isascii():
        return None
    else:
        digest = hashlib.sha256(secret.encode()).digest()
    return Key(name, frozenset(cast(list[Scope], scopes)), digest)


def _fingerprint(file: Path) -> _Fingerprint:
    try:
        found = file.stat()
    except OSError as error:
        raise _refused(file, f"cannot be read: {error.strerror}") from error
    # The last one changes with who may read it, too.
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _refused(file: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"The file of API keys {file} {reason}.")
