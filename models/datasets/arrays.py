"""Arrays in npz files, which may be damaged, or no such files at all."""

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imaging.files import FileRefusedError, open_file
from imaging.refusal import RefusedError

_MOST: Final = 2**32
"""Bytes of a file, and of all its arrays; the largest data set of the project has 50 million."""

_LONGEST: Final = 200


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file, by their names; none of them holds Python objects.

    Raises
    ------
    RefusedError
        If it is no npz file, or a larger one than is accepted, packed or unpacked.
    """
    try:
        with open_file(path, _MOST) as file, zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST:
                raise RefusedError(f"{path} holds more than {_MOST} bytes; fewer are accepted.")
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    except FileRefusedError as error:
        raise RefusedError(f"{path} {error}.") from error
    except RefusedError:
        raise
    except Exception as error:  # zipfile, zlib and numpy have no common one for a broken file
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RefusedError(
            f"{path} cannot be read as an npz file of arrays: {lines[0][:_LONGEST].rstrip('.')}."
        ) from error
