"""Files that a command writes."""

import os
from pathlib import Path

from imaging import RefusedError
from imaging.writing import write_aside


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before there is anything to write.

    Raises
    ------
    RefusedError
        If its folder is not there or cannot be written to, or what is there is no regular file, or
        may not be written.
    """
    there = path.exists()
    if not os.access(path.parent, os.W_OK) or (there and not os.access(path, os.W_OK)):
        raise RefusedError(
            f"The file {path} cannot be written; one in a folder that can be is accepted."
        )
    if there and not path.is_file():
        raise RefusedError(f"The file {path} is no regular one; one is accepted.")


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    ValueError
        If it cannot be written.
    """
    try:
        write_aside(path, data)
    except OSError as error:
        raise RefusedError(f"The file {path} cannot be written: {error.strerror}.") from error
