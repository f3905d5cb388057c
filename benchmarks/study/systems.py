"""What is compared: four systems of equal size, two variants, and the jobs that train them."""

from collections.abc import Iterator
from dataclasses import dataclass

from models.augmentation import Augmentation
from models.networks import Convolution, LayerSpec, MaxPooling, NetworkSpec
from models.presets import quarter_turns
from models.recipe import Recipe

SEEDS = (0, 1, 2)
SIZES = (100, 300, 1000, 3000, 12_000)
WIDER = (2, 4)
"""Factors of width for the augmented CNN; its parameters grow with their squares."""

# Every network sees this many images in all, whatever the size of its training set, up to 300 times
# each: small sets come around more often, as they would in practice.
_IMAGES_SEEN = 120_000
_MOST_EPOCHS = 300

_ROTATED = Augmentation(degrees=180)


@dataclass(frozen=True)
class System:
    """A network and whether its training images are rotated at random."""

    name: str
    group: str
    channels: int
    augmented: bool = False
    separable: bool = False


SYSTEMS = (
    System("plain CNN", "trivial", 24),
    System("plain CNN, augmented", "trivial", 24, augmented=True),
    System("C4", "C4", 12),
    System("C8", "C8", 11),
)
AUGMENTED = SYSTEMS[1]
SEPARABLE = System("C4, separable", "C4", 31, separable=True)
"""With as many multiply-adds as the dense C4 network, which makes it more than twice as wide."""


@dataclass(frozen=True)
class Job:
    """One network to train: a system, a factor of its width, a size of the training set, a seed."""

    system: System
    images: int
    seed: int
    width: int = 1

    @property
    def key(self) -> tuple[str, int, int, int]:
        """What tells this job from all others."""
        return self.system.name, self.width, self.images, self.seed

    def network(self) -> NetworkSpec:
        """Return the network; both layouts have about 28,000 free parameters at width 1."""
        channels = self.system.channels * self.width
        steerable = self.system.group == "C8"
        return NetworkSpec(
            group=self.system.group,
            basis="steerable" if steerable else "grid",
            size=28,
            classes=10,
            mean=0.13,
            deviation=0.3,
            layers=(
                _steerable_layers(channels)
                if steerable
                else quarter_turns(channels, separable=self.system.separable)
            ),
            dropout=0.2,
        )

    def recipe(self) -> Recipe:
        """Return the recipe, the same for all systems but for the augmentation."""
        return Recipe(
            epochs=min(round(_IMAGES_SEEN / self.images), _MOST_EPOCHS),
            batch_size=64,
            augmentation=_ROTATED if self.system.augmented else Augmentation(),
            seed=self.seed,
        )


def jobs() -> Iterator[Job]:
    """Yield all jobs, seed by seed, so that an unfinished study still compares like with like."""
    for seed in SEEDS:
        for images in reversed(SIZES):
            for system in SYSTEMS:
                yield Job(system, images, seed)
        for width in WIDER:
            yield Job(AUGMENTED, max(SIZES), seed, width)
        yield Job(SEPARABLE, max(SIZES), seed)


def _steerable_layers(channels: int) -> tuple[LayerSpec, ...]:
    """The depth of ``quarter_turns`` with odd kernels, which the steerable basis needs."""
    return (
        Convolution(channels=channels // 2, kernel=5),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=channels, kernel=5, padding=2),
        Convolution(channels=channels, kernel=3, padding=1),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=channels, kernel=3, padding=1),
        Convolution(channels=channels, kernel=3),
        Convolution(channels=channels, kernel=3),
    )
