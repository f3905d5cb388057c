"""What was proved and measured of versions at an earlier start, kept for the next one.

An entry counts for the same files, code, libraries, processor, providers and options, and for no
others. It is read only from a folder that its owner alone may write.
"""

import hashlib
import hmac
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import scipy
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

import artifact
import audit
import imaging
import service
from artifact.product import product_version
from audit.machine import cpu_identity
from imaging.files import FileRefusedError, read_file
from imaging.writing import remove_left_aside, write_aside
from service.engine import ProviderCandidates
from service.repository.trials import Tried
from service.settings import Settings

_FORMAT: Final = 1
_OFF: Final = "off"
_LOCK: Final = "workers.lock"
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_MOST_BYTES: Final = 2**24
_MOST_ENTRIES: Final = 512
_ROOMS: Final = (imaging, artifact, audit, service)
"""Whose code proves and measures."""

log = structlog.get_logger()


class _Entry(BaseModel):
    """A file of the cache."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: dict[str, Any]
    at: str
    tried: Tried
    mac: str | None
    """Of the rest, where there is a secret."""

    def sealed(self, secret: bytes | None) -> "_Entry":
        """Return it with the code that whoever has the secret gives it."""
        mac = None
        if secret is not None:
            said = self.model_copy(update={"mac": None}).model_dump_json().encode()
            mac = hmac.new(secret, said, hashlib.sha256).hexdigest()
        return self.model_copy(update={"mac": mac})


class Cache:
    """A folder with a file for each version that came out well, under each set of conditions.

    What cannot be read or written is measured anew, and never an error.

    Parameters
    ----------
    settings
        What versions are served with, and where the folder is.
    candidates
        Where they may run. With a device other than the CPU nothing is kept, as its libraries may
        choose other algorithms at each start.
    """

    def __init__(self, settings: Settings, candidates: ProviderCandidates) -> None:
        self._folder = _folder(settings)
        if settings.proof == "off" or any(each.memory for each in candidates.configurations):
            self._folder = None
        self._shared, self._lock = settings.workers > 1, -1
        self._secret = _secret(settings.signing_key)
        self._conditions = {
            "format": _FORMAT,
            "threads": settings.threads or settings.cpus,
            "providers": [each.options for each in candidates.configurations],
            "limits": asdict(settings.limits),
            "proof": [settings.proof, asdict(settings.proof_limits)],
            "memory": settings.load_memory,
        }

    def find(self, digests: Mapping[str, str]) -> Tried | None:
        """Return how a version with files of these digests came out under the same conditions."""
        if self._folder is None:
            return None
        key = self._key(digests)
        path = self._folder / _name(key)
        if not (_is_owned(self._folder) and _is_owned(path)):
            return None
        try:
            entry = _Entry.model_validate_json(read_file(path, _MOST_BYTES))
        except FileRefusedError as error:
            log.warning("cache not read", file=str(path), reason=str(error))
            return None
        except ValidationError:
            log.warning("cache not read", file=str(path), reason="it is broken")
            return None
        expected = entry.sealed(self._secret).mac
        if entry.key != key or not hmac.compare_digest(entry.mac or "", expected or ""):
            log.warning("cache not read", file=str(path), reason="it is not what was kept there")
            return None
        verification = entry.tried.verification
        if verification is None:
            return None
        dated = verification.model_copy(update={"measured": entry.at})
        return entry.tried.model_copy(update={"verification": dated})

    def keep(self, digests: Mapping[str, str], tried: Tried) -> None:
        """Keep how a version came out, if it came out well and not because of the time it took."""
        found = tried.verification
        if self._folder is None or found is None or found.unproved is not None:
            return
        key = self._key(digests)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = _Entry(key=key, at=now, tried=tried, mac=None).sealed(self._secret)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_owned(self._folder):
                data = entry.model_dump_json().encode()
                write_aside(self._folder / _name(key), data, mode=0o600)
                _drop_oldest(self._folder)
        except OSError as error:
            log.info("cache not written", folder=str(self._folder), reason=error.strerror)

    @contextmanager
    def claimed(self, digests: Mapping[str, str] | None) -> Iterator[bool]:
        """Be the one of several workers that tries a version; yield whether this one is.

        What another one has tried is found here as soon as that one is done.
        """
        if not self._shared or self._folder is None or digests is None:
            yield True
            return
        place = int(_name(self._key(digests))[:15], 16)  # a byte of the file for each version
        try:
            lockf(self._opened_lock(self._folder), LOCK_EX | LOCK_NB, 1, place)
        except BlockingIOError:
            yield False
            return
        except OSError:  # each worker tries for itself where nothing can be kept
            yield True
            return
        try:
            yield True
        finally:
            lockf(self._lock, LOCK_UN, 1, place)

    def _opened_lock(self, folder: Path) -> int:
        """Open the file of locks, once: a process that closes it lets go of all it holds there."""
        if self._lock < 0:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._lock

    def _key(self, digests: Mapping[str, str]) -> dict[str, Any]:
        found = {**self._conditions, **_surroundings(), "files": dict(digests)}
        plain: dict[str, Any] = json.loads(json.dumps(found))  # tuples are lists there
        return plain


def _is_owned(place: Path) -> bool:
    """Whether it is there, and nobody else may write it."""
    try:
        found = place.stat()
    except OSError:
        return False
    owned = found.st_uid == os.geteuid() and not found.st_mode & _OTHERS
    if not owned:
        log.warning("cache not used, as others may write it", place=str(place))
    return owned


def _folder(settings: Settings) -> Path | None:
    if settings.cache == _OFF:
        return None
    if settings.cache is not None:
        return Path(settings.cache)
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        parent = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # nobody's home
        return None
    return parent / "orbitserve"


def _secret(key: Path | None) -> bytes | None:
    """Derive what entries are sealed with from the key that the service signs reports with."""
    if key is None:
        return None
    try:
        return hashlib.sha256(b"orbitserve cache" + read_file(key, _MOST_BYTES)).digest()
    except FileRefusedError:  # told by whoever signs with it
        return os.urandom(32)


@cache
def _surroundings() -> Mapping[str, Any]:
    """What measures here, and on what; it does not change while this process lives."""
    return {
        "product": product_version(),
        "code": _code(),
        "python": sys.version,
        "runtime": [onnxruntime.__version__, onnxruntime.get_build_info()],
        "libraries": [onnx.__version__, np.__version__, scipy.__version__],
        "machine": [platform.system(), platform.machine(), cpu_identity()],
    }


def _code() -> str:
    digest = hashlib.sha256()
    for room in _ROOMS:
        for folder in map(Path, room.__path__):
            for file in sorted(folder.rglob("*.py")):
                data = file.read_bytes()
                digest.update(f"{file.relative_to(folder)} {len(data)} ".encode() + data)
    return digest.hexdigest()


def _name(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest() + ".json"


def _drop_oldest(folder: Path) -> None:
    """Let the folder not grow for ever: each change of code or files leaves entries behind."""
    now = time.time()

    def written(file: Path) -> float:
        moment = file.stat().st_mtime
        return moment if moment <= now else 0.0  # by a clock that was set back since: for ever new

    for file in sorted(folder.glob("*.json"), key=written)[:-_MOST_ENTRIES]:
        file.unlink(missing_ok=True)
    remove_left_aside(folder)
