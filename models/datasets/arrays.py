"""Arrays in npz files, which may be damaged, or no such files at all."""

from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from imaging.arrays import ArraysError, read_npz
from imaging.files import FileRefusedError, open_file
from imaging.refusal import RefusedError

_MOST: Final = 2**32
"""Bytes of a file, and of all its arrays; the largest data set of the project has 50 million."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file, by their names; none of them holds Python objects.

    Raises
    ------
    RefusedError
        If it is no npz file, or a larger one than is accepted, packed or unpacked.
    """
    try:
        with open_file(path, _MOST) as file:
            return read_npz(file, _MOST)
    except FileRefusedError as error:
        raise RefusedError(f"{path} {error}.") from error
    except ArraysError as error:
        raise RefusedError(f"{path} cannot be read as an npz file of arrays: {error}.") from error
