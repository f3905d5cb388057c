"""The labelled images that a model is evaluated on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifact.audit_set import AuditSet
from audit import ClassNames, Progress
from audit.evaluation import Unread
from commands.audit.target import Target, find_here, read_audit_images
from commands.images import folder_labels, read_groups, read_labels
from imaging import RefusedError
from imaging.files import in_utf8
from service.decoding.files import find_image_files, read_images
from service.settings import ConfigurationError, Settings


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with labels, where they are from, and the files that could not be read."""

    images: AuditSet
    source: str
    unread: tuple[Unread, ...] = ()


def read_labelled(
    folder: Path | None,
    target: Target,
    settings: Settings,
    progress: Progress,
    *,
    labels: Path | None = None,
    group_by: str | None = None,
    skip_unreadable: bool = False,
) -> Labelled:
    """Read a folder with one sub-folder a class, or one that a CSV file says the classes of.

    An npz file is an audit set with its labels; None stands for the one that came with the target.

    Raises
    ------
    ValueError
        If what an image shows is not known, or an image is not accepted and not left out.
    """
    if folder is None or folder.suffix == ".npz":
        places = [] if folder is None else [folder]
        if labels is not None:
            raise RefusedError("--labels is for a folder of image files.")
        find = find_here(target.spec, settings)
        named = [*map(str, places)]
        whole, source = read_audit_images(named, target, find, progress, group_by=group_by)
        if whole.labels is None:
            raise RefusedError(f"{source} has no labels, and an evaluation needs them.")
        return Labelled(whole, source)
    files = find_image_files([folder])
    paths, classes = [file.path for file in files], ClassNames(target.under_test.identity.classes)
    expected = (
        folder_labels(files, classes, _OTHERWISE).labels
        if labels is None
        else read_labels(labels, paths, classes)
    )
    if expected is None:
        raise RefusedError(
            f"{folder} has no sub-folder with images that is named as a class of {target.name} "
            f"({classes}); {_OTHERWISE}."
        )
    groups = None if group_by is None else read_groups(group_by, paths)
    unread: dict[int, str] = {}

    def leave_out(place: int, error: ConfigurationError) -> None:
        if not skip_unreadable:
            raise ConfigurationError(
                f"{str(error).rstrip('.')}; --skip-unreadable leaves such files out and lists them."
            ) from error
        unread[place] = in_utf8(str(error))

    images = read_images(paths, target.spec, settings.max_pixels, progress, unreadable=leave_out)
    kept = np.array([place for place in range(len(files)) if place not in unread])
    return Labelled(
        AuditSet(
            images,
            expected[kept],
            None if groups is None else groups[kept],
            tuple(files[place].name for place in kept),
        ),
        in_utf8(str(folder)),
        tuple(
            Unread(name=files[place].name, expected=int(expected[place]), reason=reason)
            for place, reason in unread.items()
        ),
    )


_OTHERWISE = (
    "a folder with one sub-folder a class, or --labels with a CSV file of the class of each image, "
    "is accepted"
)
