"""What a training is about to do, and why, in lines for a person who may still stop it."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from models.autoconfig import LARGEST
from models.datasets.own_images import TEST_PART, OwnImages
from models.experiment import DEFAULT_GROUP, Experiment
from models.networks import Network, free_parameters
from models.run_info import RunInfo

_SYMMETRIES = {"C": "rotations", "D": "rotations and mirror images", "trivial": "none"}


def overview(experiment: Experiment, run: RunInfo) -> Iterator[str]:
    """Say what was chosen for an experiment; ``run`` has its recipe as it goes on."""
    data, network, recipe, own = experiment.data, experiment.network, run.recipe, experiment.own
    labels = np.concatenate([data.train.labels, data.test.labels])
    counts = np.bincount(labels, minlength=len(data.classes))
    classes = ", ".join(f"{name} {n}" for name, n in zip(data.classes, counts, strict=True))
    yield f"{experiment.name}: {len(labels)} images of {len(data.classes)} classes: {classes}"
    held_out = f", {recipe.validation} are held out (--validation)" if recipe.validation else ""
    trained = len(data.train) - recipe.validation
    yield f"  images    {trained} are trained on{held_out}, {len(data.test)} are for the test" + (
        f", {_tested(own)}" if own else ""
    )
    if own:
        yield from _parts(own)
        yield f"  size      {network.size} x {network.size} pixels, {_size(experiment, own)}"
        yield f"  colour    {_colour(experiment, own)}"
    yield f"  symmetry  {_symmetry(network.group, own)}"
    start = f", from the weights of {experiment.start.folder}" if experiment.start else ""
    parameters = free_parameters(Network(network))
    yield f"  network   {len(network.layers)} layers, {parameters:,} parameters{start}"
    patience = (
        f"; it ends after {recipe.patience} without fewer errors on the held-out images"
        if recipe.patience and recipe.patience < recipe.epochs
        else ""
    )
    yield f"  training  at most {recipe.epochs} epochs{patience} (--epochs)"
    yield (
        f"            {recipe.batch_size} images a step (--batch-size), a learning rate of at most "
        f"{recipe.learning_rate:g} (--learning-rate)"
    )
    if own:
        yield from _warnings(own)


def duration(seconds_an_epoch: float, epochs: int, device: str) -> str:
    """Say how long so many epochs take."""
    seconds = seconds_an_epoch * epochs
    whole = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    return (
        f"  time      about {whole} for {epochs} epochs on the {device}, by a few timed steps: "
        f"{seconds_an_epoch:.2g} s an epoch"
    )


def _tested(own: OwnImages) -> str:
    if own.source.test is not None:
        return f"those of {own.source.test}"
    return "a fifth of each class by a fixed seed (--test names a folder of others)"


def _parts(own: OwnImages) -> Iterator[str]:
    if own.source.group_by is not None:
        parts = int(own.parts.max()) + 1
        yield f"  parts     {parts}, each on one side of the split (--group-by)"


def _size(experiment: Experiment, own: OwnImages) -> str:
    if experiment.start:
        why = f"as in {experiment.start.folder}"
    elif own.source.size is not None:
        why = "as --size says"
    else:
        side = "larger" if own.source.fit == "pad" else "smaller"
        why = f"by the {side} side of the median image, {LARGEST} at most (--size)"
    shapes = {width == height for width, height in own.found.sizes}
    if shapes == {True}:
        return why
    oblong = {"pad": "a black margin", "crop": "the square in their middle"}.get(own.source.fit, "")
    return f"{why}; oblong images get {oblong} (--fit)" if oblong else why


def _colour(experiment: Experiment, own: OwnImages) -> str:
    if experiment.start:
        why = f", as in {experiment.start.folder}"
    elif own.source.channels is not None:
        why = ", as --grey says"
    elif own.found.coloured is None:
        why = ", as no image has colours"
    else:
        name = own.found.coloured.relative_to(own.found.folder)
        why = f", as {name} has colours (--grey leaves them out)"
    return ("RGB" if own.channels == 3 else "grey") + why


def _symmetry(group: str, own: OwnImages | None) -> str:
    what = _SYMMETRIES.get(group) or _SYMMETRIES[group[0]]
    why = ", the choice where nothing else is said" if own and group == DEFAULT_GROUP else ""
    return f"{group}, {what}{why} (--group)" if own else f"{group}, {what}"


def _warnings(own: OwnImages) -> Iterator[str]:
    for found in filter(None, (own.found, own.tested)):
        if found.unreadable:
            names = ", ".join(found.unreadable)
            yield f"  left out  {len(found.unreadable)} files that cannot be read: {names}"
        for one, other in found.in_two_classes():
            same = found.digests[one] == found.digests[other]
            here, there = found.name_of(other), found.name_of(one)
            yield (
                f"  twice     {here} is the same image as {there}, and one of the two is in the "
                "wrong class"
                if same
                else f"  twice     {here} is {there} rotated or mirrored, in another class: a "
                "network that this does not change answers both alike"
            )
    if own.tested:
        trained = {digest: i for i, digest in enumerate(own.found.orbit_digests)}
        for i, digest in enumerate(own.tested.orbit_digests):
            if digest in trained:
                yield (
                    f"  known     the test image {own.tested.name_of(i)} is trained on as "
                    f"{own.found.name_of(trained[digest])}{_how(own, i, trained[digest])}, so that "
                    "it tests nothing"
                )
    if own.tested and (both := own.parts_of_both()):
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        yield (
            f"  known     images of the parts {both[0]}{more} are trained on and tested on, so "
            "that they test less"
        )
    yield from _uneven(own)
    again = sum(count - 1 for count in Counter(own.found.orbit_digests).values())
    if again:
        yield (
            f"  again     {again} images are others once more, as they are or rotated or mirrored; "
            "they are on one side of the split with those"
        )


def _uneven(own: OwnImages) -> Iterator[str]:
    """Name the classes of which far more or fewer images are tested on than a fifth."""
    if own.tested:
        return
    tested = own.tested_classes()
    for name, part in zip(own.found.classes, tested, strict=True):
        if not TEST_PART / 2 <= part <= 2 * TEST_PART:
            yield (
                f"  uneven    {100 * part:.0f} % of the images of the class {name} are tested on: "
                "parts so large, or so few, cannot be split nearer to a fifth (--test names "
                "a folder of others)"
            )


def _how(own: OwnImages, tested: int, trained: int) -> str:
    same = own.tested and own.tested.digests[tested] == own.found.digests[trained]
    return "" if same else ", rotated or mirrored"
