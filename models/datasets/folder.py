"""A folder of one's own images with one sub-folder a class, the ImageFolder convention."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from imaging import IMAGE_SUFFIXES, FitPolicy, ImageError, decode, fit
from imaging.files import MOST_IMAGE, FileRefusedError, read_file, read_named
from imaging.refusal import RefusedError
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.datasets.stratify import stratified_order

LICENCE = "not stated"
LEAST = 10
"""Images that a class needs, so that training, early stopping and test all have some of it."""
TEST_PART = 0.2
SEED = 0

Progress = Callable[[int], None]
"""Called with the number of files that were just read."""


@dataclass(frozen=True)
class Survey:
    """What a folder holds, once every file of it has been decoded.

    Attributes
    ----------
    files, labels
        The image files, class by class, and the index of each one's class.
    sizes
        Width and height of each image.
    white_level
        With which they were decoded, as ``imaging.decode`` takes it.
    channels
        3 if any image is in colour, else 1.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    channels: Literal[1, 3]
    white_level: int | None = None

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name


def survey(
    folder: Path, white_level: int | None = None, progress: Progress = lambda _: None
) -> Survey:
    """Find the classes and images below ``folder`` and decode every image once.

    Hidden files, and files whose name is not that of an image, do not count.

    Raises
    ------
    ValueError
        If there are not two classes of ``LEAST`` images each, or files are not readable images.
    """
    classes = _classes(folder)
    files = {name: image_files(folder / name) for name in classes}
    _check_counts(folder, {name: len(paths) for name, paths in files.items()})
    sizes, coloured, unreadable = [], False, []
    for path in (path for paths in files.values() for path in paths):
        try:
            image = decode(read_file(path, MOST_IMAGE), 3, white_level=white_level)
        except (ImageError, FileRefusedError) as error:
            unreadable.append((path.relative_to(folder), error))
        else:
            sizes.append((image.shape[2], image.shape[1]))
            coloured = coloured or bool((image != image[:1]).any())
        progress(1)
    if unreadable:
        raise RefusedError(_unreadable(folder, unreadable))
    return Survey(
        folder=folder,
        classes=classes,
        files=tuple(path for paths in files.values() for path in paths),
        labels=tuple(k for k, name in enumerate(classes) for _ in files[name]),
        sizes=tuple(sizes),
        channels=3 if coloured else 1,
        white_level=white_level,
    )


def count_images(folder: Path) -> int:
    """Return how many files ``survey`` will read."""
    return sum(len(image_files(folder / name)) for name in _classes(folder))


def read(found: Survey, policy: FitPolicy, progress: Progress = lambda _: None) -> DataSet:
    """Return the images as ``policy`` fits them, split with stratification: a fifth is for tests.

    The training images are in stratified order too, so that the last ones are a stratified sample.
    """
    labels = np.array(found.labels, np.int64)
    order = stratified_order(labels, SEED)
    shape = (len(order), found.channels, policy.size, policy.size)
    images = np.empty(shape, np.uint8)
    for row, index in enumerate(order):
        data = read_named(found.files[index], MOST_IMAGE)
        images[row] = fit(decode(data, found.channels, white_level=found.white_level), policy)
        progress(1)
    whole = Split(images, labels[order])
    train = len(whole) - round(TEST_PART * len(whole))
    return DataSet(
        name=found.name,
        classes=found.classes,
        licence=LICENCE,
        sha256=whole.digest(),
        fit=policy,
        train=whole[:train],
        test=whole[train:],
        white_level=found.white_level,
    )


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise RefusedError(f"There is no folder {folder}.")
    entries = (entry for entry in folder.iterdir() if entry.is_dir())
    names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    if not names:
        raise RefusedError(
            f"{folder} has no sub-folders; one sub-folder of images a class is accepted."
        )
    if len(names) == 1:
        raise RefusedError(f"{folder} has one class only, {names[0]!r}; two or more are accepted.")
    return tuple(names)


def image_files(folder: Path) -> list[Path]:
    """Return the image files below a folder, without hidden ones, in a fixed order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )


def _check_counts(folder: Path, counts: dict[str, int]) -> None:
    small = [f"{name!r} has {count}" for name, count in counts.items() if count < LEAST]
    if small:
        raise RefusedError(
            f"Classes of {folder} have too few images: {_listed(small)}; "
            f"{LEAST} or more in each class are accepted."
        )


def _unreadable(folder: Path, failures: Sequence[tuple[Path, Exception]]) -> str:
    reasons = [f"{path} ({_reason(error)})" for path, error in failures]
    files = "A file" if len(failures) == 1 else f"{len(failures)} files"
    return f"{files} of {folder} cannot be read as images: {_listed(reasons)}."


def _reason(error: Exception) -> str:
    if isinstance(error, ImageError):
        return error.reason.replace("-", " ")
    return str(error)


def _listed(items: Iterable[str], limit: int = 3) -> str:
    """Name up to three items and count the rest."""
    every = list(items)
    more = [f"and {len(every) - limit} more"] if len(every) > limit else []
    return ", ".join(every[:limit] + more)
