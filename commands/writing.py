"""Files that a command writes."""

import os
from pathlib import Path

from imaging import RefusedError
from imaging.writing import write_aside


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before there is anything to write.

    Raises
    ------
    ValueError
        If its folder is not there or cannot be written to.
    """
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise RefusedError(
            f"The file {path} cannot be written; one in a folder that can be is accepted."
        )


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
