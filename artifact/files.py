"""Reading a file of which nothing is known: only a regular one, and only so many bytes of it."""

import os
import stat
from pathlib import Path
from typing import Final

from imaging.refusal import RefusedError

MEBIBYTE: Final = 2**20

MOST_CARD: Final = 16 * MEBIBYTE
"""Bytes of a card; one with a hundred thousand classes has a few million."""

MOST_GRAPH: Final = 2**31
"""Bytes of an ONNX file; protobuf writes no larger one."""

MOST_AUDIT_SET: Final = 2**30
"""Bytes of an audit set, as a file and unpacked; 4096 images of 3 x 256 x 256 are 768 MiB."""

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class FileRefusedError(RefusedError):
    """A file is not read; the message goes on after its name, and ends without a full stop."""


def read_file(path: Path, most: int) -> bytes:
    """Read a regular file of at most so many bytes, never waiting for anybody to write it.

    Symbolic links are followed, as mounted volumes are full of them: what was opened counts.

    Raises
    ------
    FileRefusedError
        Saying what is there instead, how large it is, or why it cannot be read.
    """
    try:
        # Opening alone may do something to a device, so it is looked at before and after.
        _check(path.stat(), most)
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            found = os.fstat(file.fileno())
            _check(found, most)
            data = file.read(found.st_size + 1)
    except OSError as error:
        raise FileRefusedError(f"cannot be read: {error.strerror}") from error
    if data is None or len(data) != found.st_size:  # as in /proc, or while somebody writes
        raise FileRefusedError("has another size than it says; a file at rest is accepted")
    return data


def _check(found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "no regular file")
        raise FileRefusedError(f"is {kind}; a regular file is accepted")
    if found.st_size > most:
        raise FileRefusedError(f"is too large; at most {most / MEBIBYTE:,.0f} MiB are accepted")
