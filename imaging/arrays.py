"""Arrays in NumPy's own files, from anybody: nothing is unpickled, no header believed."""

import math
import zipfile
from collections.abc import Collection
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError

_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""By the version of the format; version 3 names fields, which no array has that is read here."""

_PIECE: Final = 2**20
_LONGEST: Final = 200


class ArraysError(RefusedError):
    """A file holds no such arrays; the message is the reason, to stand in a sentence."""


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read what stands before an array: its shape, whether it is in Fortran's order, its type.

    Raises
    ------
    Exception
        Nearly any: NumPy tokenises and evaluates the header.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ArraysError(f"an array has the format {version} of numpy, which is not known")
    return _HEADERS[version](file)


def read_npz(
    file: IO[bytes], most: int, names: Collection[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz file by their names; other members are passed over.

    An array takes memory only once its header was found to promise no more than is accepted.

    Parameters
    ----------
    most
        Bytes of all arrays together.
    names
        Those that are read where they are there; all if None.

    Raises
    ------
    ArraysError
        If it is no npz file, or an array is there twice, not all there, larger than accepted, or
        of objects.
    """
    arrays: dict[str, NDArray[Any]] = {}
    met: set[str] = set()
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                name = member.removesuffix(".npy")
                if name in met and (names is None or name in names):
                    raise ArraysError(f"it has '{name}' twice")
                met.add(name)  # NumPy reads a member without the suffix before one with it
                if name != member and (names is None or name in names):
                    with archive.open(member) as content:
                        arrays[name] = _read(content, name, most)
                    most -= arrays[name].nbytes
    except ArraysError:
        raise
    except Exception as error:  # zipfile, zlib and numpy have no common one for a broken file
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ArraysError(lines[0][:_LONGEST].rstrip(".")) from error
    return arrays


def _read(file: IO[bytes], name: str, most: int) -> NDArray[Any]:
    shape, fortran, dtype = read_header(file)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or size > most:
        raise ArraysError(f"'{name}' is {dtype} of shape {shape}, which is not read")
    buffer = bytearray(size)
    filled = 0
    while piece := file.read(min(size - filled, _PIECE)):
        buffer[filled : filled + len(piece)] = piece
        filled += len(piece)
    if filled < size or file.read(1):
        raise ArraysError(f"'{name}' has other data than its shape {shape} says")
    array = np.frombuffer(buffer, dtype)
    return array.reshape(shape, order="F" if fortran else "C")
