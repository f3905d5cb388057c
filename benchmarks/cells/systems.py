"""What is trained on the cells: networks of equal size, on two splits, from several seeds."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from models.autoconfig import inspection, layers
from models.datasets.elpv import Unit
from models.networks import NetworkSpec
from models.recipe import Recipe

SPLITS: Final[tuple[Unit, ...]] = ("modules", "cells")

# As many free values as D4 has with 8 fields: about the root of the order times as many channels.
_PLAIN_WIDTH = 23


@dataclass(frozen=True)
class System:
    """A network, whose symmetries are built in or drawn while it is trained.

    Attributes
    ----------
    cracked
        Whether cracks are drawn onto intact cells while it is trained.
    """

    name: str
    group: str
    augmented: bool = True
    cracked: bool = False

    def network(self) -> NetworkSpec:
        """Return the network of `inspection`, or a plain one with as many free values."""
        network, _ = inspection()
        if self.group == network.group:
            return network
        wide = layers(network.size, _PLAIN_WIDTH)
        return network.model_copy(update={"group": self.group, "layers": wide})

    def recipe(self) -> Recipe:
        """Return the recipe of `inspection`, with labels for probabilities.

        Images are turned and mirrored for a plain network that is to learn its symmetries.
        """
        _, recipe = inspection()
        dihedral = self.group == "trivial" and self.augmented
        drawn = recipe.augmentation.model_copy(update={"dihedral": dihedral})
        cracks = recipe.cracks if self.cracked else None
        changes = {"augmentation": drawn, "soft_labels": False, "cracks": cracks}
        return recipe.model_copy(update=changes)


SYSTEMS: Final = (
    System("D4", "D4"),
    System("plain, augmented", "trivial"),
    System("D4, drawn cracks", "D4", cracked=True),
    System("plain, augmented, drawn cracks", "trivial", cracked=True),
)


@dataclass(frozen=True)
class Job:
    """One network to train and test."""

    system: System
    split: Unit
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells this job from all others."""
        return self.system.name, self.split, self.seed


def jobs(systems: Collection[str], seeds: Sequence[int]) -> Iterator[Job]:
    """Yield the jobs of the systems of these names.

    They come seed by seed, so that an unfinished comparison still compares like with like.
    The split by modules comes first, since it is the one that says how good a network is.
    """
    for split in SPLITS:
        for seed in seeds:
            for system in SYSTEMS:
                if system.name in systems:
                    yield Job(system, split, seed)
