"""Networks and recipes for rotated MNIST: what `orbitserve train NAME` trains."""

from dataclasses import dataclass
from typing import Literal

from models.augmentation import Augmentation
from models.networks import Convolution, LayerSpec, MaxPooling, NetworkSpec
from models.recipe import Recipe


@dataclass(frozen=True)
class Preset:
    """A network and its recipe on rotated MNIST."""

    network: NetworkSpec
    recipe: Recipe


def quarter_turns(channels: int, *, separable: bool = False) -> tuple[LayerSpec, ...]:
    """28 pixels -> 24 -> 12 -> 6 -> 4 -> 1: every step obeys the size rule."""
    return (
        Convolution(channels=channels // 2, kernel=5),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=channels, kernel=3, padding=1, separable=separable),
        Convolution(channels=channels, kernel=3, padding=1, separable=separable),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=channels, kernel=3, padding=1, separable=separable),
        Convolution(channels=channels, kernel=3, separable=separable),
        Convolution(channels=channels, kernel=4, separable=separable),
    )


def few_operations(width: int = 1) -> tuple[LayerSpec, ...]:
    """The sides of ``quarter_turns``; wide where there are few pixels, so that it costs little."""
    return (
        Convolution(channels=6 * width, kernel=5),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=10 * width, kernel=3, padding=1),
        Convolution(channels=10 * width, kernel=3, padding=1),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=18 * width, kernel=3, padding=1),
        Convolution(channels=18 * width, kernel=3),
        Convolution(channels=32 * width, kernel=4),
    )


def eighth_turns(channels: int) -> tuple[LayerSpec, ...]:
    """28 pixels -> 24 -> 12 -> 6 -> 4 -> 2, with odd kernels, which a steerable basis needs."""
    return (
        Convolution(channels=12, kernel=7, padding=1),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=channels, kernel=5, padding=2),
        Convolution(channels=channels, kernel=3, padding=1),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=channels, kernel=5, padding=2),
        Convolution(channels=channels, kernel=3),
        Convolution(channels=channels, kernel=3),
    )


def late_pooling(first: int, early: int, late: int, last: int) -> tuple[LayerSpec, ...]:
    """Two convolutions at each of 24, 12 and 6 pixels, pooled late as in Weiler and Cesa 2019."""
    pool = MaxPooling(kernel=2, stride=2)
    return (
        Convolution(channels=first, kernel=7, padding=1),
        Convolution(channels=early, kernel=5, padding=2),
        pool,
        Convolution(channels=early, kernel=5, padding=2),
        Convolution(channels=late, kernel=5, padding=2),
        pool,
        Convolution(channels=late, kernel=5, padding=2),
        Convolution(channels=last, kernel=5, padding=1),
    )


def _rotmnist(
    group: str,
    layers: tuple[LayerSpec, ...],
    basis: Literal["grid", "steerable"] = "grid",
    epochs: int = 60,
    learning_rate: float = 2e-3,
) -> Preset:
    return Preset(
        NetworkSpec(
            group=group,
            basis=basis,
            size=28,
            classes=10,
            mean=0.13,
            deviation=0.3,
            layers=layers,
            dropout=0.2,
        ),
        Recipe(
            epochs=epochs,
            learning_rate=learning_rate,
            augmentation=Augmentation(degrees=180),
        ),
    )


def _regularised(preset: Preset, dropout: float, **changes: float) -> Preset:
    """Return a preset with mild deformations of the images and more weight decay."""
    recipe = {
        "weight_decay": 0.05,
        "augmentation": Augmentation(degrees=180, scale=0.05, shear=0.05, elastic=0.4),
    }
    return Preset(
        preset.network.model_copy(update={"dropout": dropout}),
        preset.recipe.model_copy(update=recipe | changes),
    )


def _distilled(width: int, views: int) -> Preset:
    """For ``--teacher runs/rotmnist-large``, which is asked once about each of the ``views``."""
    base = _rotmnist("C4", few_operations(width), epochs=200, learning_rate=3e-3)
    return _regularised(base, dropout=0.1, label_smoothing=0, teaching=0.9, views=views)


# A group convolution of C fields has |G| C^2 k^2 free values, a plain one of C channels C^2 k^2:
# with twice the channels the plain network is as large as that of C4.
PRESETS = {
    "rotmnist-c4": _rotmnist("C4", quarter_turns(24)),
    "rotmnist-c8": _rotmnist("C8", eighth_turns(16), "steerable", epochs=40),
    "rotmnist-c4-small": _rotmnist("C4", few_operations(), epochs=80, learning_rate=3e-3),
    # As wide as its integers fit into a file of 5 MB.
    "rotmnist-large": _regularised(
        _rotmnist("C8", late_pooling(16, 20, 28, 24), "steerable", epochs=44), dropout=0.3
    ),
    "rotmnist-c4-distilled": _distilled(2, views=60),
    "rotmnist-c4-small-distilled": _distilled(1, views=24),
    "rotmnist-cnn": _rotmnist("trivial", quarter_turns(48)),
}
