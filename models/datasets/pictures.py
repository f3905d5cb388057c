"""Images to audit a model on: a folder of image files, or the audit set of another version."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from imaging import IMAGE_SUFFIXES, FitPolicy, ImageError, decode, fit
from imaging.files import MOST_IMAGE, read_named
from imaging.refusal import RefusedError
from models.datasets.arrays import read_arrays
from models.datasets.folder import image_files

_LISTED: Final = 5
"""Classes that a refusal names."""


@dataclass(frozen=True)
class Pictures:
    """Images as a model takes them.

    Attributes
    ----------
    images : uint8 [N, C, height, width]
    labels : int64 [N], or None
        Indices into the classes.
    source
        Where they come from, as a report names it.
    groups : int64 [N], or None
        What each image was taken of, as the audit set of another version says.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    source: str
    groups: NDArray[np.int64] | None = None


def read_pictures(
    place: Path,
    classes: Sequence[str],
    channels: Literal[1, 3],
    policy: FitPolicy,
    white_level: int | None = None,
    find: Callable[[str], int | None] | None = None,
) -> Pictures:
    """Read a folder of images, labelled if it has one sub-folder a class, or an audit set's file.

    Parameters
    ----------
    find
        Which class is meant by the name of a folder; by default the one that is written alike.

    Raises
    ------
    ValueError
        If there are no images, one of them cannot be read, or they have labels that are no class.
    """
    if place.is_file():
        images, labels, groups = _read_arrays(place, channels)
        if labels is not None and not np.isin(labels, np.arange(len(classes))).all():
            raise RefusedError(
                f"The labels of {place} go from {labels.min()} to {labels.max()}, and there are "
                f"{len(classes)} classes."
            )
        due = policy.shape
        # Arrays of the input's size are inputs already, whatever would be cropped of a file's.
        fitted = np.stack([i if i.shape[1:] == due else fit(i, policy) for i in images])
        return Pictures(fitted, labels, place.name, groups)
    if not place.is_dir():
        raise RefusedError(f"There is no {place}; a folder of images or an audit set is accepted.")
    named = {name: index for index, name in enumerate(classes)}
    found = list(_labelled(place, classes, find or named.get))
    if not found:
        raise RefusedError(
            f"There are no images in {place}; accepted are files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    fitted = np.stack([fit(_decode(path, channels, white_level), policy) for path, _ in found])
    given = np.array([-1 if label is None else label for _, label in found], np.int64)
    return Pictures(fitted, None if (given < 0).any() else given, place.resolve().name)


def _labelled(
    folder: Path, classes: Sequence[str], find: Callable[[str], int | None]
) -> Iterator[tuple[Path, int | None]]:
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    meant = {entry.name: find(entry.name) for entry in folders}
    strange = [name for name, index in meant.items() if index is None]
    if strange:
        more = f" and {len(classes) - _LISTED} more" if len(classes) > _LISTED else ""
        raise RefusedError(
            f"{folder} has a folder {strange[0]!r}, which is no class; the classes are "
            f"{', '.join(classes[:_LISTED])}{more}."
        )
    loose = [path for path in image_files(folder) if path.parent == folder]
    if folders and loose:
        raise RefusedError(
            f"{folder} has images beside the folders of its classes, as {loose[0].name}; all with "
            "a label or all without is accepted."
        )
    yield from ((path, None) for path in loose)
    for entry in folders:
        yield from ((path, meant[entry.name]) for path in image_files(entry))


def _decode(path: Path, channels: Literal[1, 3], white_level: int | None) -> NDArray[np.uint8]:
    try:
        return decode(read_named(path, MOST_IMAGE), channels, white_level=white_level)
    except ImageError as error:
        raise RefusedError(f"{path} cannot be read as an image: {error}") from error


def _read_arrays(
    file: Path, channels: Literal[1, 3]
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, NDArray[np.int64] | None]:
    try:
        arrays = read_arrays(file)
    except RefusedError as error:
        raise _no_audit_set(file, str(error).rstrip(".")) from error
    images = arrays.get("images")
    if images is None:
        raise _no_audit_set(file, f"it has {', '.join(arrays) or 'nothing'}")
    count = len(images) if images.ndim else 0
    numbered = [_read_numbers(file, name, arrays.get(name), count) for name in ("labels", "groups")]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, channels):
        raise RefusedError(
            f"The images of {file} are {images.dtype} of shape {images.shape}; uint8 "
            f"[N, {channels}, H, W] is accepted."
        )
    if not len(images):
        raise RefusedError(f"{file} has no images; one or more are accepted.")
    if images.shape[1] != channels:
        images = images.repeat(channels, axis=1)
    labels, groups = numbered
    return images, labels, groups


def _read_numbers(
    file: Path, name: str, numbers: NDArray[Any] | None, count: int
) -> NDArray[np.int64] | None:
    if numbers is None:
        return None
    whole = np.can_cast(numbers.dtype, np.int64) and numbers.dtype.kind in "iu"
    if numbers.shape != (count,) or not whole:
        raise RefusedError(
            f"The {name} of {file} are {numbers.dtype} of shape {numbers.shape}; integers [N] that "
            f"int64 holds, for N = {count} images, are accepted."
        )
    return numbers.astype(np.int64)


def _no_audit_set(file: Path, reason: str) -> RefusedError:
    return RefusedError(
        f"{file} is neither a folder of images nor an audit set, an npz file with 'images' "
        f"({reason})."
    )
