"""Rotated MNIST, derived from MNIST by the recipe of Larochelle et al. 2007.

62,000 of the 70,000 digits, each turned once by an angle uniform in 0..360 degrees with bicubic
interpolation; 12,000 to train, 50,000 to test. It follows the recipe of "An Empirical Evaluation of
Deep Architectures on Problems with Many Factors of Variation" (ICML 2007) and is not their file,
so errors on it are comparable to published ones and not equal to them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging import FitPolicy
from models.datasets.data_set import DataSet
from models.datasets.mnist import Digits
from models.datasets.split import Split, load, save

NAME = "rotated MNIST"
LICENCE = "CC BY-SA 3.0 (MNIST by Y. LeCun and C. Cortes; derived: turned digits)"
CLASSES = tuple("0123456789")
TRAIN, TEST = 12_000, 50_000
SEED = 2007

# Pillow's bicubic rotation and NumPy's generator take part in the derivation: a release of theirs
# that rounds or draws otherwise must be noticed, not trained on.
SHA256 = "17fca96150d1341b68abdf6068c953b31a0af4d99f576f9174e1c177dbf064db"


def derive(digits: Digits) -> Split:
    """Choose and turn the 62,000 digits; the first 12,000 are those to train.

    Raises
    ------
    ValueError
        If the outcome is not the known one, bit for bit.
    """
    random = np.random.default_rng(SEED)
    chosen = random.permutation(len(digits.labels))[: TRAIN + TEST]
    angles = random.uniform(0, 360, len(chosen))
    images = np.stack([_turn(digits.images[i], t) for i, t in zip(chosen, angles, strict=True)])
    return _verified(Split(images[:, None], digits.labels[chosen]))


def store(split: Split, folder: Path) -> Path:
    """Write the derived digits to ``folder`` and return the file's path."""
    path = folder / "rotmnist.npz"
    save(split, path)
    return path


def read(folder: Path) -> DataSet:
    """Return what ``store`` wrote.

    Raises
    ------
    ValueError
        If it is not there, or is not the known one.
    """
    path = folder / "rotmnist.npz"
    if not path.exists():
        raise ValueError(f"There is no {path}; `make data` derives it.")
    split = _verified(load(path))
    return DataSet(NAME, CLASSES, LICENCE, SHA256, FitPolicy(28), split[:TRAIN], split[TRAIN:])


def _turn(image: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BICUBIC))


def _verified(split: Split) -> Split:
    if split.digest() != SHA256:
        raise ValueError(
            f"These are not the rotated digits of this benchmark: their SHA-256 is "
            f"{split.digest()} and should be {SHA256}."
        )
    return split
