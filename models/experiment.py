"""An experiment: which network is trained, how, and on what."""

import dataclasses
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imaging import FitPolicy
from imaging.refusal import RefusedError
from models.autoconfig import (
    SMALLEST,
    check_size,
    configure_network,
    configure_recipe,
    input_size,
    inspection,
)
from models.checkpoint import Run
from models.datasets import elpv, rotmnist
from models.datasets.data_set import DataSet
from models.datasets.folder import Progress
from models.datasets.folder_source import FolderSource
from models.datasets.own_images import OwnImages
from models.networks import NetworkSpec
from models.presets import PRESETS
from models.recipe import Recipe
from models.run_info import RunInfo
from models.teachers import TrainedTeacher

_CELLS: Mapping[str, elpv.Unit] = {"elpv": "cells", "elpv-modules": "modules"}

NAMES = (*PRESETS, *_CELLS)

DEFAULT_GROUP = "D4"
"""The symmetry of images of which nothing is said: they and their mirror images have no "up"."""

TEACHING = 0.5
"""The weight of a teacher where the recipe has none."""


@dataclass(frozen=True)
class Experiment:
    """A network, its recipe and its data, and the name of the run and of the model they become.

    Attributes
    ----------
    teachers
        Whose mean probabilities are learned beside the labels.
    start
        The run whose trained weights are the first ones.
    own
        What the images were found to be, of a folder.
    """

    name: str
    network: NetworkSpec
    recipe: Recipe
    data: DataSet
    teachers: tuple[TrainedTeacher, ...] = ()
    start: Run | None = None
    own: OwnImages | None = None

    def with_recipe(self, changes: Mapping[str, Any]) -> "Experiment":
        """Return the experiment with some fields of its recipe changed.

        Images are held out by whole parts, so that a few more or less than said may be.

        Raises
        ------
        ValueError
            If they make no recipe, or it holds out all training images.
        """
        try:
            recipe = Recipe.model_validate(self.recipe.model_dump() | dict(changes))
        except ValidationError as error:
            found = error.errors()[0]
            what = "".join(f"The recipe's {field}: " for field in found["loc"])
            raise RefusedError(what + found["msg"].removeprefix("Value error, ")) from None
        if recipe.validation >= len(self.data.train):
            raise RefusedError(
                f"{recipe.validation} images cannot be held out of "
                f"{len(self.data.train)} training images."
            )
        held_out = {"validation": self.data.held_out(recipe.validation)}
        return dataclasses.replace(self, recipe=recipe.model_copy(update=held_out))

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
            teacher_sha256=tuple(each.sha256 for each in self.teachers) or None,
            start_sha256=self.start.weights_sha256() if self.start else None,
            source=self.own.source_of(data.fit) if self.own else None,
        )

    def taught_by(self, *teachers: TrainedTeacher) -> "Experiment":
        """Return the experiment with teachers, who have half of the say unless the recipe tells.

        Raises
        ------
        ValueError
            If one has other images or classes.
        """
        shape = (self.network.channels, self.network.size, self.network.size)
        names = self.data.classes
        for teacher in teachers:
            for what, there, here in (
                ("images of shape", teacher.shape, shape),
                ("a number of classes of", teacher.classes, self.network.classes),
                ("classes", list(teacher.names or names), list(names)),
            ):
                if here != there:
                    raise RefusedError(
                        f"A teacher sees and names the same: {teacher.name} has {what} {there}, "
                        f"and this one {here}."
                    )
        experiment = self if self.recipe.teaching else self.with_recipe({"teaching": TEACHING})
        return dataclasses.replace(experiment, teachers=teachers)

    def started_from(self, run: Run) -> "Experiment":
        """Return the experiment with the weights of a finished run as its first ones.

        Raises
        ------
        ValueError
            If the run is not over, or its network is of another kind.
        """
        theirs = run.network().spec
        if theirs.model_copy(update={"classes": self.network.classes}) != self.network:
            raise RefusedError(
                f"The network of {run.folder} is not that of {self.name}, so that its weights "
                "cannot be the first ones."
            )
        return dataclasses.replace(self, start=run)


def check_network(name: str) -> None:
    """Raise a ``RefusedError`` unless one of the project's networks has this name."""
    if name not in NAMES:
        raise RefusedError(
            f"There is no folder {name!r} and no network of that name; "
            f"the networks are {', '.join(NAMES)}."
        )


def named_experiment(name: str, data: Path) -> Experiment:
    """Return the experiment of one of the project's networks; ``data`` is the folder of data sets.

    Raises
    ------
    ValueError
        If no network has this name, or its data is not there.
    """
    check_network(name)
    if name in _CELLS:
        network, recipe = inspection()
        return Experiment(name, network, recipe, elpv.read(network.size, _CELLS[name]))
    return Experiment(name, PRESETS[name].network, PRESETS[name].recipe, rotmnist.read(data))


def data_set_of(name: str) -> str:
    """Return what the data set is called that one of the project's networks is trained on."""
    return elpv.name_of(_CELLS[name]) if name in _CELLS else rotmnist.NAME


def folder_experiment(
    source: FolderSource,
    group: str | None = None,
    *,
    name: str | None = None,
    start: Run | None = None,
    progress: Progress = lambda _: None,
    processes: int = 1,
) -> Experiment:
    """Configure an experiment for a folder with one sub-folder of images a class.

    Parameters
    ----------
    group
        The symmetry that the network is given: D4 if it is None.
    name
        Of the run and the model; None makes one of the folder's.
    start
        A finished run whose network, and with it group and input, is trained further.
    progress
        Called with the number of files just read. Each file is read twice.
    processes
        That decode at the same time, at most.

    Raises
    ------
    ValueError
        If the images, the group, the size or the name do not do.
    """
    name = name or model_name(source.folder)
    if start is not None:
        source, group = _as_started(source, group, start)
    group = group or DEFAULT_GROUP
    check_size(source.size or SMALLEST, group)  # before the images are read
    own = OwnImages.survey(source, progress, processes)
    policy = FitPolicy(source.size or input_size(own.found.sizes, source.fit), source.fit)
    data = own.read(policy, progress)
    recipe = configure_recipe(len(data.train), group)
    recipe = recipe.model_copy(update={"validation": data.held_out(recipe.validation)})
    if start is None:
        measured = data.train[: len(data.train) - recipe.validation]
        network = configure_network(measured, len(data.classes), group)
        return Experiment(name, network, recipe, data, own=own)
    network = start.info.network.model_copy(update={"classes": len(data.classes)})
    return Experiment(name, network, recipe, data, own=own).started_from(start)


def model_name(folder: Path) -> str:
    """Return the name that a folder's model has: small letters, digits, '.', '_' and '-'.

    Raises
    ------
    RefusedError
        If the folder's name has letters of which nothing would be left, as other folders' too.
    """
    name = folder.resolve().name
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    if not re.search("[a-z0-9]", letters) or re.search(r"[^\W\x00-\x7f]", letters):
        raise RefusedError(
            f"The name {name!r} of the folder cannot be that of a model, which has small letters, "
            "digits, '.', '_' and '-'; --name gives it another."
        )
    return re.sub(r"[^a-z0-9._-]+", "-", letters).strip("._-")


def _as_started(source: FolderSource, group: str | None, start: Run) -> tuple[FolderSource, str]:
    """Read the images as those that an earlier network was trained on."""
    info, spec = start.info, start.info.network
    if group not in (None, spec.group) or source.size not in (None, spec.size):
        raise RefusedError(
            f"The network of {start.folder} has the group {spec.group} and an input of {spec.size} "
            "pixels; what starts from it has them, too, without --group and --size."
        )
    if source.channels not in (None, spec.channels):
        raise RefusedError(
            f"The network of {start.folder} sees colours; what starts from it does, too, without "
            "--grey."
        )
    if source.fit != info.fit:
        raise RefusedError(
            f"The network of {start.folder} was trained on images that were fitted by "
            f"--fit {info.fit}; what starts from it has them, too, without --fit {source.fit}."
        )
    white = info.white_level if source.white_level is None else source.white_level
    changes = {
        "size": spec.size,
        "channels": spec.channels,
        "white_level": white,
    }
    return source.model_copy(update=changes), spec.group
