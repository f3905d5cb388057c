"""Files that are written once and never changed, in a folder of any file system fsspec opens."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from imaging.files import FileRefusedError, read_file
from imaging.writing import remove_left_aside, write_aside

_REPORTS_AT_ONCE: Final = 16

_BUCKETS: Final = frozenset({"s3", "gs", "abfs", "oss", "oci"})
"""Protocols of object stores, where making a folder would make a bucket."""

_CACHES: Final = frozenset({"blockcache", "cached", "filecache", "simplecache"})
"""Those that keep copies: of what others have changed since, or write, they show nothing."""

_REPLACING: Final = frozenset(
    {"generic", "http", "https", "jlab", "jupyter", "libarchive", "reference", "tar", "zip"}
)
"""Those that do not look whether a file is there when one is to be new."""

MOST_REPORT: Final = 2**28
"""Bytes of a report; one of all images of a large audit has some tens of millions."""

MOST_ENTRY: Final = 2**21
"""Bytes of an entry; its signature's certificates have a MiB at most."""

_EFFECTIVE: Final = os.access in os.supports_effective_ids

log = structlog.get_logger()


class LedgerError(RuntimeError):
    """The ledger cannot be read or written, or is not whole; the message is one sentence."""


class TamperedError(LedgerError):
    """What is in the ledger is not what was stored there."""


class UntrustedError(LedgerError):
    """Nobody who is trusted says that a report was stored."""


class Store:
    """A folder of files that are written once, whole or not at all.

    Locally a file gets its name when it is complete and on disk. Elsewhere it is the file system
    that has to write a file whole and to refuse one that exists, as object stores do.

    Parameters
    ----------
    url
        A folder, or a URL of fsspec's.

    Raises
    ------
    LedgerError
        If there is no such file system, a package for it is missing, or it keeps copies.
    """

    def __init__(self, url: str) -> None:
        try:
            self._system, self._root = url_to_fs(url)
        except (ImportError, OSError, TypeError, ValueError) as error:
            reason = str(error).rstrip(".")
            raise LedgerError(f"The ledger cannot be opened: {reason}.") from error
        self._protocols = frozenset(_protocols(self._system))
        if caches := self._protocols & _CACHES:
            raise LedgerError(
                f"The ledger cannot be opened through {min(caches)}: copies do not show what "
                "others write or change; the URL behind it is accepted."
            )
        self._local = isinstance(self._system, LocalFileSystem)

    def make_folders(self, *names: str) -> None:
        """Make folders that are not there; object stores have none, and no bucket is made.

        Raises
        ------
        LedgerError
            If they cannot be made, or what is written there replaces what was.
        """
        if replacing := self._protocols & _REPLACING:
            raise LedgerError(
                f"The ledger cannot be kept by {min(replacing)}, which replaces files that are "
                "there; a folder, or an object store, is accepted."
            )
        if _BUCKETS & self._protocols:
            return
        with self._reported("written"):
            for name in names:
                self._system.makedirs(self._path(name), exist_ok=True)

    def clear_up(self, *folders: str) -> None:
        """Remove what writers that were ended left beside the files of local folders."""
        if not self._local:
            return
        with self._reported("written"):
            for folder in folders:
                remove_left_aside(Path(self._path(folder)))

    def check_writable(self, *folders: str) -> None:
        """Raise LedgerError if a local folder takes no file; of others nothing is known."""
        if not self._local:
            return
        with self._reported("written"):
            for path in map(self._path, folders):
                os.stat(path)  # noqa: PTH116 -- which says what else is wrong
                if not os.access(path, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file, and return whether it was not there before; if it was, leave it."""
        path = self._path(name)
        with self._reported("written"):
            if self._local:
                return _create(Path(path), content)
            try:
                self._system.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
        return True

    def read(self, names: Sequence[str], most: int = MOST_REPORT) -> list[bytes | None]:
        """Return the content of files: None for one that is not there, nothing for what is no file.

        A local FIFO or device is not waited for, and of a file of more bytes than `most` there is
        nothing either; nobody has stored what it would say.
        """
        if not self._local:
            return [_at_most(most, content) for content in self._begun(names, most + 1)]
        with self._reported("read"):
            return [_read(Path(self._path(name)), most) for name in names]

    def reports(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Yield what `read` returns of files, however many, and hold few of them at once.

        Where each is waited for they are several small ones, else one.
        """
        step = 1 if self._local else _REPORTS_AT_ONCE
        for start in range(0, len(names), step):
            some = names[start : start + step]
            if step == 1:
                yield from self.read(some)
                continue
            part = MOST_REPORT // step
            for name, begun in zip(some, self._begun(some, part + 1), strict=True):
                large = begun is not None and len(begun) > part
                yield self.read([name])[0] if large else begun

    def names(self, folder: str, *, optional: bool = False) -> list[str]:
        """Return the names of the files in a folder, hidden ones left out.

        Parameters
        ----------
        optional
            Whether a folder that is not there is an empty one.
        """
        path = self._path(folder)
        with self._reported("read"):
            self._system.invalidate_cache(path)
            try:
                found = self._system.ls(path, detail=False)
            except FileNotFoundError:
                if self._local and not optional:
                    raise
                found = []  # an object store has no folder before it has a file in it
        names = (str(each).rstrip("/").rpartition("/")[2] for each in found)
        return [name for name in names if not name.startswith(".")]

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _begun(self, names: Sequence[str], end: int) -> list[bytes | None]:
        """Return the first bytes of files that are elsewhere; None for one that is not there."""
        paths = [self._path(each) for each in names]
        with self._reported("read"):
            found = self._system.cat_ranges(paths, 0, end) if paths else []
            return [self._content(*each) for each in zip(paths, found, strict=True)]

    def _content(self, path: str, found: bytes | Exception) -> bytes | None:
        if isinstance(found, bytes):
            return found
        if isinstance(found, FileNotFoundError):
            return None
        told: dict[str, Any] = self._system.info(path)
        if told["type"] == "file" and told["size"] != 0:  # of which there is no first byte to ask
            raise found
        return b""

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        """Turn whatever a file system raises into one sentence without the names in its message."""
        try:
            yield
        except Exception as error:  # of as many kinds as there are file systems
            log.error("the ledger failed", reason=str(error))
            number = error.errno if isinstance(error, OSError) else None
            why = type(error).__name__ if number is None else os.strerror(number)
            raise LedgerError(f"The ledger cannot be {what} ({why}); the log says more.") from error


def _protocols(system: object) -> Iterator[str]:
    """Yield what a file system is called, and those behind it in a chain."""
    while isinstance(system, AbstractFileSystem):
        names = type(system).protocol  # a cache gives that of the one behind it for its own
        yield from (names,) if isinstance(names, str) else names
        system = getattr(system, "fs", None)


def _at_most(most: int, content: bytes | None) -> bytes | None:
    if content is None or len(content) <= most:
        return content
    log.error("a file of the ledger is none", reason=f"it has more than {most} bytes")
    return b""


def _read(path: Path, most: int) -> bytes | None:
    try:
        return read_file(path, most)
    except FileRefusedError as refusal:
        if isinstance(refusal.__cause__, FileNotFoundError):
            return None
        cause = refusal.__cause__
        if isinstance(cause, OSError) and cause.errno != errno.ELOOP:  # no fault of a disk
            raise cause from None
        log.error("a file of the ledger is none", file=path.name, reason=str(refusal))
        return b""


def _create(path: Path, content: bytes) -> bool:
    try:
        write_aside(path, content, new=True)
    except FileExistsError:
        return False
    return True
