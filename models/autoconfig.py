"""Configuring a network and a recipe for given images: input size, depth, width, length of
training.

The rules are a start that works for hundreds to tens of thousands of images on a few CPU cores, not
a search. Every layer obeys the size rule of ``models.geometry`` by the choice of its window.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from imaging.fit import FitMode
from imaging.refusal import RefusedError
from models.augmentation import Augmentation
from models.cracks import Cracks
from models.datasets.split import Split
from models.groups import Group
from models.networks import Convolution, LayerSpec, MaxPooling, NetworkSpec
from models.recipe import Recipe

SMALLEST, LARGEST = 8, 161
"""The sizes that are chosen by themselves, in pixels. Larger ones can be asked for."""

# An image beyond this side is halved by the first convolution, which otherwise takes most of the
# time; and images are halved until no side of a feature field is beyond the second number.
_STRIDED, _LAST_SIDE = 64, 12


def input_size(sizes: Sequence[tuple[int, int]], mode: FitMode) -> int:
    """Return the input size for images of these widths and heights: that of the median image.

    It lies between ``SMALLEST`` and ``LARGEST``, and is odd where the first layer halves it, so
    that filters with a pixel in their centre fit.
    """
    side = max if mode == "pad" else min
    median = int(statistics.median_low(side(size) for size in sizes))
    size = min(max(median, SMALLEST), LARGEST)
    return size - 1 if size > _STRIDED and size % 2 == 0 else size


def layers(size: int, width: int) -> tuple[LayerSpec, ...]:
    """Return a stem, then stages of a pooling and two convolutions, down to a few pixels.

    The windows follow the side: an odd one, ``n``, is halved to ``(n + 1) / 2`` by a window that
    reaches over the border, an even one to ``n / 2`` by one that does not, and the size rule holds
    for both.

    Parameters
    ----------
    size
        Of the input, in pixels.
    width
        The fields of the stem and of the first stage; each further stage has as many more.
    """
    strided = size > _STRIDED
    kernel = 6 if strided and size % 2 == 0 else 5
    stem = Convolution(channels=width, kernel=kernel, stride=2 if strided else 1, padding=2)
    side = math.ceil(size / 2) if strided else size
    chosen: list[LayerSpec] = [stem]
    stage = 0
    while stage == 0 or side > _LAST_SIDE:
        stage += 1
        odd = side % 2
        chosen.append(MaxPooling(kernel=2 + odd, stride=2, padding=odd))
        chosen += 2 * [Convolution(channels=stage * width, kernel=3, padding=1)]
        side = math.ceil(side / 2)
    return tuple(chosen)


def width(group: Group, images: int) -> int:
    """Return the fields of the first stage.

    A group convolution of C fields has ``|G| C^2 k^2`` free values: with fields in inverse
    proportion to the root of the order, every group gets about as many of them. Few images are
    learned by heart by a wide network, many are wasted on a narrow one.
    """
    base = 17 if images < 1000 else 23 if images < 20_000 else 34
    return max(2, round(base / math.sqrt(group.order)))


def check_size(size: int, group: str) -> None:
    """Raise a ``ValueError`` unless there is a network of this input size and group."""
    known = Group.named(group)
    if size < SMALLEST:
        raise RefusedError(f"The input size is {size}; {SMALLEST} pixels or more are accepted.")
    if known.sectors > 1 and size > _STRIDED and size % 2 == 0:
        raise RefusedError(
            f"Filters that rotate by {360 / known.rotations:g} degrees cannot halve {size} pixels "
            f"symmetrically; the nearest sizes that work are {size - 1} and {size + 1}."
        )


def configure_network(train: Split, classes: int, group: str) -> NetworkSpec:
    """Return a network for images of one size, with their mean and deviation baked in.

    Raises
    ------
    ValueError
        If ``group`` names no group, or ``check_size`` refuses the size.
    """
    count, channels, size, _ = train.images.shape
    check_size(size, group)
    known = Group.named(group)
    mean, deviation = grey_levels(train)
    return NetworkSpec(
        group=group,
        basis="steerable" if known.sectors > 1 else "grid",
        channels=3 if channels == 3 else 1,
        size=size,
        classes=classes,
        mean=mean,
        deviation=deviation,
        layers=layers(size, width(known, count)),
        dropout=0.2,
    )


def configure_recipe(images: int, group: str) -> Recipe:
    """Return a recipe for ``images`` training images, a sixth of which are for early stopping.

    Few images come in small batches, so that an epoch still has ten steps or so. What has no "up"
    is rotated by any angle; the trivial group says that there is one.
    """
    epochs = min(max(300_000 // images, 30), 150)
    return Recipe(
        epochs=epochs,
        batch_size=min(max(images // 16, 8), 32),
        weight_decay=0.05,
        augmentation=Augmentation(
            degrees=0 if group == "trivial" else 180, scale=0.1, shift=0.05, exposure=0.1
        ),
        validation=max(1, images // 6),
        patience=max(10, epochs // 5),
        class_weights=True,
    )


def grey_levels(split: Split) -> tuple[float, float]:
    """Return mean and deviation of all pixels, in 0..1; a deviation of less than one level is one.

    Computed from the counts of the 256 levels, so that it is exact and needs no memory.
    """
    counts = np.zeros(256, np.int64)
    for image in split.images:
        counts += np.bincount(image.reshape(-1), minlength=256)
    levels = np.arange(256) / 255
    mean = float(counts @ levels / counts.sum())
    variance = float(counts @ (levels - mean) ** 2 / counts.sum())
    return round(mean, 4), max(round(math.sqrt(variance), 4), round(1 / 255, 4))


def inspection() -> tuple[NetworkSpec, Recipe]:
    """Return the network for the solar cells of ELPV, and its recipe.

    A cell has no "up" and its mirror image is a cell. Its bus bars lie along the axes, so that
    augmentation rotates it by a few degrees only; how bright it is depends on the camera. Experts
    were not sure of every cell, and what they said is learned.
    """
    network = NetworkSpec(
        group="D4",
        size=161,
        classes=2,
        mean=0.595,
        deviation=0.16,
        layers=layers(161, width=8),
        dropout=0.2,
    )
    recipe = Recipe(
        epochs=100,
        batch_size=32,
        weight_decay=0.05,
        soft_labels=True,
        cracks=Cracks(share=0.5),
        augmentation=Augmentation(degrees=5, scale=0.05, shift=0.03, exposure=0.2),
    )
    return network, recipe
