"""What the command is told to audit: a name in the repository, a file, an address."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet, load_audit_set
from artifact.card import InputSpec
from audit import ClassNames, ModelUnderTest, Progress
from audit.labels import MANY_LABELS
from commands.images import (
    FolderLabels,
    class_of_cell,
    folder_labels,
    read_groups,
    read_labels,
)
from imaging import RefusedError
from imaging.files import in_utf8
from service.audits.targets import Address, open_file, open_remote, version_under_test
from service.decoding.files import ImageFile, find_image_files, read_images
from service.repository.folder import ModelRejectedError
from service.repository.local import open_model
from service.repository.version import ServedModel
from service.settings import Settings


@dataclass(frozen=True)
class Target:
    """What is audited.

    Attributes
    ----------
    name
        As it is named once more in the report, its version included.
    under_test
        How it is asked.
    spec
        What its images have to be.
    group
        The group to try where none is asked for.
    quick
        Whether it computes on one thread at a time, as graphs do for which several are too many.
    own
        Reads the images that came with it, and says where they are from; None if none did.
    """

    name: str
    under_test: ModelUnderTest
    spec: InputSpec
    group: str
    quick: bool = False
    own: Callable[[], tuple[AuditSet, str]] | None = None


def open_target(
    target: str | None,
    settings: Settings,
    model: str | None = None,
    api_key: str | None = None,
) -> Target:
    """Open `http://...`, a file that ends in `.onnx`, or `<name>` or `<name>/<version>`.

    None stands for the default model of the repository.

    Raises
    ------
    ValueError
        If there is no such thing, or it cannot be audited.
    """
    if target is not None and target.startswith(("http://", "https://")):
        address = Address.parse(target, model)
        pinned, under_test, spec, group = open_remote(address, api_key)
        return Target(str(pinned), under_test, spec, group)
    if model is not None:
        raise RefusedError("--model is for the address of a service.")
    if target is not None and target.endswith(".onnx"):
        return Target(target, *open_file(Path(target), settings))
    opened = open_model(target, settings)
    card = opened.card
    return Target(
        f"{card.name}/{card.version}",
        version_under_test(opened),
        card.input,
        card.audit.group,
        opened.session.graph.quick,
        lambda: (_own_images(opened), card.audit_set.source),
    )


def _own_images(model: ServedModel) -> AuditSet:
    try:
        return model.audit_set()
    except ModelRejectedError as error:
        raise RefusedError(str(error)) from error


@dataclass(frozen=True)
class Found:
    """Images that were found, and not yet read.

    Attributes
    ----------
    files
        What each is called, and the folder that it lies in.
    read
        Reads them, uint8 [N, C, H, W], and says which are left out, by their numbers.
    labels
        What each shows, where the tables say it that they are rows of: classes, or their numbers.
    """

    files: Sequence[ImageFile]
    read: Callable[[Progress], tuple[NDArray[np.uint8], Sequence[int]]]
    labels: Sequence[Any] | None = None


Find = Callable[[Sequence[str]], Found]
"""Finds images in places that are named."""


def find_here(spec: InputSpec, settings: Settings) -> Find:
    """Return what finds files, and reads them one after the other."""

    def find(places: Sequence[str]) -> Found:
        files = find_image_files([*map(Path, places)])
        paths = [file.path for file in files]
        return Found(
            files, lambda progress: (read_images(paths, spec, settings.max_pixels, progress), ())
        )

    return find


def read_audit_images(
    places: Sequence[str],
    target: Target,
    find: Find,
    progress: Progress,
    *,
    group_by: str | None = None,
    labels: Path | None = None,
    no_labels: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
) -> tuple[AuditSet, str]:
    """Read the images that are named, or those that came with the target; say where they are from.

    One npz file is an audit set, with its labels and groups. Files are grouped by their folders, or
    as a CSV file says; what they show is the class that their sub-folder is named as, or what
    another CSV file says, unless labels are not wanted. What was understood is told in a sentence.

    Raises
    ------
    ValueError
        If there are none, one is not accepted, or an audit set is of another size.
    """
    if group_by is not None and (not places or Path(places[0]).suffix == ".npz"):
        raise RefusedError(
            "--group-by groups image files, which --images names; an audit.npz has its groups in "
            "itself, as the array 'groups'."
        )
    if labels is not None and (no_labels or not places or Path(places[0]).suffix == ".npz"):
        raise RefusedError(
            "--labels is for image files, which --images names, and not together with --no-labels; "
            "an audit.npz has its labels in itself, as the array 'labels'."
        )
    several = target.under_test.identity.multi_label
    if several and labels is not None:
        raise RefusedError(MANY_LABELS)
    if no_labels and not places:
        raise RefusedError("--no-labels is for images that --images names.")
    if not places:
        if target.own is None:
            raise RefusedError(
                f"{target.name} has no images of its own; --images names files, folders, or the "
                "audit.npz of a model."
            )
        return target.own()
    source = in_utf8(", ".join(places))
    if len(places) == 1 and Path(places[0]).suffix == ".npz":
        audit_set, spec = load_audit_set(Path(places[0])), target.spec
        due = spec.shape
        if audit_set.images.shape[1:] != due:
            raise RefusedError(
                f"{source} has images of shape {list(audit_set.images.shape[1:])}; {target.name} "
                f"takes {list(due)}."
            )
        return replace(audit_set, labels=None) if no_labels else audit_set, source
    found = find(places)
    files = found.files
    paths, names = [file.path for file in files], target.under_test.identity.classes
    classes = ClassNames(names)
    groups = None if group_by is None else read_groups(group_by, paths)
    known = None if labels is None else read_labels(labels, paths, classes)
    if several and not no_labels:
        tell("No labels are read from sub-folders: the model may give an image several.")
    elif known is None and not no_labels:
        said = _told(found, classes, names)
        known = said.labels
        if said.sentence:
            tell(said.sentence)
    images, left_out = found.read(progress)
    if left_out:
        source = f"{source}, {len(images)} of {len(files)}"
    kept = np.setdiff1d(np.arange(len(files)), np.asarray(left_out, np.int64))
    return (
        AuditSet(
            images,
            None if known is None else known[kept],
            None if groups is None else groups[kept],
            tuple(files[number].name for number in kept),
        ),
        source,
    )


def _told(found: Found, classes: ClassNames, names: Sequence[str]) -> FolderLabels:
    """What tables say of the images, or else the folders that they lie in."""
    if found.labels is None:
        return folder_labels(found.files, classes) if names else _unnamed(found.files)
    labels = [
        class_of_cell(value, classes, len(names), file.name)
        for value, file in zip(found.labels, found.files, strict=True)
    ]
    return FolderLabels(np.array(labels, np.int64), "Labels are read from the tables' column.")


def _unnamed(files: Sequence[ImageFile]) -> FolderLabels:
    """A folder called 2024 need not be a class: where classes have no names, nothing is guessed."""
    inside = any(file.folder is not None for file in files)
    sentence = (
        "No labels are read from sub-folders: the classes of the model have no names; --labels "
        "gives them by their numbers."
    )
    return FolderLabels(None, sentence if inside else "")
