"""An experiment: which network is trained, how, and on what."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imaging import FitPolicy
from imaging.fit import FitMode
from imaging.refusal import RefusedError
from models.autoconfig import (
    SMALLEST,
    check_size,
    configure_network,
    configure_recipe,
    input_size,
    inspection,
)
from models.checkpoint import Run, RunInfo
from models.datasets import elpv, folder, rotmnist
from models.datasets.data_set import DataSet
from models.networks import NetworkSpec
from models.presets import PRESETS
from models.recipe import Recipe

NAMES = (*PRESETS, "elpv")

TEACHING = 0.5
"""The weight of a teacher where the recipe has none."""


@dataclass(frozen=True)
class Experiment:
    """A network, its recipe and its data, and the name of the run and of the model they become.

    ``teachers`` are runs whose networks' mean probabilities are learned beside the labels.
    """

    name: str
    network: NetworkSpec
    recipe: Recipe
    data: DataSet
    teachers: tuple[Run, ...] = ()

    def with_recipe(self, changes: Mapping[str, Any]) -> "Experiment":
        """Return the experiment with some fields of its recipe changed.

        Raises
        ------
        ValueError
            If they make no recipe, or it holds out all training images.
        """
        try:
            recipe = Recipe.model_validate(self.recipe.model_dump() | dict(changes))
        except ValidationError as error:
            raise RefusedError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        if recipe.validation >= len(self.data.train):
            raise RefusedError(
                f"{recipe.validation} images cannot be held out of "
                f"{len(self.data.train)} training images."
            )
        return dataclasses.replace(self, recipe=recipe)

    @property
    def info(self) -> RunInfo:
        """What a run of this experiment keeps of it."""
        data = self.data
        return RunInfo(
            network=self.network,
            recipe=self.recipe,
            data_set=data.name,
            data_sha256=data.sha256,
            data_licence=data.licence,
            classes=data.classes,
            fit=data.fit.mode,
            fill=data.fit.fill,
            white_level=data.white_level,
            teacher_sha256=tuple(run.weights_sha256() for run in self.teachers) or None,
        )

    def taught_by(self, *teachers: Run) -> "Experiment":
        """Return the experiment with teachers, who have half of the say unless the recipe tells.

        Raises
        ------
        ValueError
            If a run is not over, or its network has other images or classes.
        """
        for run in teachers:
            theirs = run.network().spec
            for what in ("size", "channels", "classes"):
                here, there = getattr(self.network, what), getattr(theirs, what)
                if here != there:
                    raise RefusedError(
                        f"A teacher sees and names the same: the network of {run.folder} has "
                        f"{there} for its {what}, and this one {here}."
                    )
        experiment = self if self.recipe.teaching else self.with_recipe({"teaching": TEACHING})
        return dataclasses.replace(experiment, teachers=teachers)


def named_experiment(name: str, data: Path) -> Experiment:
    """Return the experiment of one of the project's networks; ``data`` is the folder of data sets.

    Raises
    ------
    ValueError
        If no network has this name, or its data is not there.
    """
    if name == "elpv":
        network, recipe = inspection()
        return Experiment(name, network, recipe, elpv.read(network.size))
    if name not in PRESETS:
        raise RefusedError(
            f"There is no folder {name!r} and no network of that name; "
            f"the networks are {', '.join(NAMES)}."
        )
    return Experiment(name, PRESETS[name].network, PRESETS[name].recipe, rotmnist.read(data))


def folder_experiment(
    images: Path,
    group: str,
    size: int | None,
    mode: FitMode,
    white_level: int | None = None,
    progress: folder.Progress = lambda _: None,
) -> Experiment:
    """Configure an experiment for a folder with one sub-folder of images a class.

    Parameters
    ----------
    group
        The symmetry that the network is given.
    size
        The input size in pixels; None chooses it from the images.
    mode
        What becomes of images that are not square.
    white_level
        The white of images of more than 8 bits whose file does not state it.
    progress
        Called with the number of files just read. Each file is read twice.

    Raises
    ------
    ValueError
        If the images, the group or the size do not do.
    """
    check_size(size or SMALLEST, group)  # before the images are read
    found = folder.survey(images, white_level, progress)
    policy = FitPolicy(size or input_size(found.sizes, mode), mode)
    data = folder.read(found, policy, progress)
    recipe = configure_recipe(len(data.train), group)
    measured = data.train[: len(data.train) - recipe.validation]
    network = configure_network(measured, len(data.classes), group)
    return Experiment(_model_name(data.name), network, recipe, data)


def _model_name(folder_name: str) -> str:
    """Return a name that a model may have: small letters, digits, '.', '_' and '-'."""
    return re.sub(r"[^a-z0-9._-]+", "-", folder_name.lower()).strip("._-") or "images"
