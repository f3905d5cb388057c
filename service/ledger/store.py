"""Files that are written once and never changed, in a folder of any file system fsspec opens."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from imaging.files import FileRefusedError, read_file
from imaging.writing import remove_left_aside, write_aside

_REPORTS_AT_ONCE: Final = 16

_BUCKETS: Final = frozenset({"s3", "gs", "abfs", "oss", "oci"})
"""Protocols of object stores, where making a folder would make a bucket."""

MOST_REPORT: Final = 2**28
"""Bytes of a report; one of all images of a large audit has some tens of millions."""

MOST_ENTRY: Final = 2**21
"""Bytes of an entry; its signature's certificates have a MiB at most."""

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
        If there is no such file system, or a package for it is missing.
    """

    def __init__(self, url: str) -> None:
        try:
            self._system, self._root = url_to_fs(url)
        except (ImportError, OSError, TypeError, ValueError) as error:
            reason = str(error).rstrip(".")
            raise LedgerError(f"The ledger cannot be opened: {reason}.") from error
        self._local = isinstance(self._system, LocalFileSystem)

    @property
    def at_once(self) -> int:
        """How many reports are worth reading at once: where each is waited for, several."""
        return 1 if self._local else _REPORTS_AT_ONCE

    def make_folders(self, *names: str) -> None:
        """Make folders that are not there; object stores have none, and no bucket is made."""
        if _BUCKETS & set(_protocols(self._system)):
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

        A local FIFO or device is not waited for, and a local file of more bytes than `most` not
        read; nobody has stored what it would say.
        """
        paths = [self._path(name) for name in names]
        if self._local:
            with self._reported("read"):
                return [_read(Path(path), most) for path in paths]
        with self._reported("read"):
            found = self._system.cat(paths, on_error="return") if paths else {}
        return [self._content(found.get(path)) for path in paths]

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

    def _content(self, found: bytes | Exception | None) -> bytes | None:
        if found is None or isinstance(found, FileNotFoundError):
            return None
        with self._reported("read"):
            if isinstance(found, Exception):
                raise found
        return found

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        """Turn whatever a file system raises into one sentence without the names in its message."""
        try:
            yield
        except Exception as error:  # of as many kinds as there are file systems
            log.error("the ledger failed", reason=str(error))
            kind = type(error).__name__
            raise LedgerError(f"The ledger cannot be {what} ({kind}); the log says why.") from error


def _protocols(system: AbstractFileSystem) -> tuple[str, ...]:
    names = system.protocol
    return (names,) if isinstance(names, str) else tuple(names)


def _read(path: Path, most: int) -> bytes | None:
    try:
        return read_file(path, most)
    except FileRefusedError as refusal:
        if isinstance(refusal.__cause__, FileNotFoundError):
            return None
        if isinstance(refusal.__cause__, OSError):
            raise refusal.__cause__ from None
        log.error("a file of the ledger is none", file=path.name, reason=str(refusal))
        return b""


def _create(path: Path, content: bytes) -> bool:
    try:
        write_aside(path, content, new=True)
    except FileExistsError:
        return False
    return True
