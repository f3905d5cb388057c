"""Rotated MNIST, derived from MNIST by the recipe of Larochelle et al. 2007.

62,000 of the 70,000 digits, each rotated once by an angle uniform in 0..360 degrees with bicubic
interpolation; 12,000 to train, 50,000 to test. It follows the recipe of "An Empirical Evaluation of
Deep Architectures on Problems with Many Factors of Variation" (ICML 2007) and is not their file,
so errors on it are comparable to published ones and not equal to them.

The 8,000 digits that this leaves out, each rotated once as well, are for validation: networks are
chosen by them, and neither trained nor tested on them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging import FitPolicy
from imaging.refusal import RefusedError
from models.datasets.data_set import DataSet
from models.datasets.mnist import Digits
from models.datasets.split import Split, load, save

NAME = "rotated MNIST"
LICENCE = "CC BY-SA 3.0 (MNIST by Y. LeCun and C. Cortes; derived: rotated digits)"
CLASSES = tuple("0123456789")
TRAIN, TEST = 12_000, 50_000
SEED, VALIDATION_SEED = 2007, 2008

# Pillow's bicubic rotation and NumPy's generator take part in the derivation: a release of theirs
# that rounds or draws otherwise must be noticed, not trained on.
SHA256 = "17fca96150d1341b68abdf6068c953b31a0af4d99f576f9174e1c177dbf064db"
VALIDATION_SHA256 = "5f1e5f1a338ba164902c87adfe68649ea0a961d76fce66d3be3c2ad1d2db0198"


def derive(digits: Digits) -> Split:
    """Choose and rotate the 62,000 digits; the first 12,000 are those to train.

    Raises
    ------
    ValueError
        If the outcome is not the known one, bit for bit.
    """
    random = np.random.default_rng(SEED)
    chosen = random.permutation(len(digits.labels))[: TRAIN + TEST]
    return _verified(_rotated(digits, chosen, random), SHA256)


def derive_validation(digits: Digits) -> Split:
    """Rotate the 8,000 digits that ``derive`` does not choose.

    Raises
    ------
    ValueError
        If the outcome is not the known one, bit for bit.
    """
    left = np.random.default_rng(SEED).permutation(len(digits.labels))[TRAIN + TEST :]
    random = np.random.default_rng(VALIDATION_SEED)
    return _verified(_rotated(digits, left, random), VALIDATION_SHA256)


def store(split: Split, validation: Split, folder: Path) -> Path:
    """Write what was derived to ``folder`` and return the path of the benchmark's file."""
    path = folder / "rotmnist.npz"
    save(validation, folder / "rotmnist-validation.npz")
    save(split, path)
    return path


def read(folder: Path) -> DataSet:
    """Return what ``store`` wrote.

    Raises
    ------
    ValueError
        If it is not there, or is not the known one.
    """
    split = _read(folder / "rotmnist.npz", SHA256)
    validation = _read(folder / "rotmnist-validation.npz", VALIDATION_SHA256)
    train, test = split[:TRAIN], split[TRAIN:]
    return DataSet(NAME, CLASSES, LICENCE, SHA256, FitPolicy(28), train, test, validation)


def _read(path: Path, sha256: str) -> Split:
    if not path.exists():
        raise RefusedError(f"There is no {path}; `make data` derives it.")
    return _verified(load(path), sha256)


def _rotated(digits: Digits, rows: NDArray[np.int64], random: np.random.Generator) -> Split:
    angles = random.uniform(0, 360, len(rows))
    images = np.stack([_rotate(digits.images[i], t) for i, t in zip(rows, angles, strict=True)])
    return Split(images[:, None], digits.labels[rows])


def _rotate(image: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BICUBIC))


def _verified(split: Split, sha256: str) -> Split:
    if split.digest() != sha256:
        raise RefusedError(
            f"These are not the rotated digits of this benchmark: their SHA-256 is "
            f"{split.digest()} and should be {sha256}."
        )
    return split
