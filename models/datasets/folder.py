"""A folder of one's own images with one sub-folder a class, the ImageFolder convention."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from imaging.files import image_paths
from imaging.refusal import RefusedError
from models.datasets.workers import Look, Looking, Unreadable, each

LEAST = 10
"""Images that a class needs, so that training, early stopping and test all have some of it."""

_PARTS_OF_DATA: Final = frozenset(
    ("train", "training", "val", "valid", "validation", "test", "testing")
)

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
    digests
        The SHA-256 of each image's pixels, which tell whether two images are the same.
    orbit_digests
        Those that tell whether two images are the same but for quarter turns and mirroring.
    white_level
        With which they were decoded, as ``imaging.decode`` takes it.
    coloured
        The first file in which there are colours, if there is one.
    unreadable
        What was left out, and why: the files as seen from ``folder``.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    digests: tuple[str, ...]
    orbit_digests: tuple[str, ...]
    white_level: int | None = None
    coloured: Path | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    @property
    def channels(self) -> Literal[1, 3]:
        """3 if any image is in colour, else 1."""
        return 3 if self.coloured else 1

    def name_of(self, index: int) -> Path:
        """Return a file's name with that of its class, and of folders in between."""
        return self.files[index].relative_to(self.folder)

    def in_two_classes(self) -> Iterator[tuple[int, int]]:
        """Yield the indices of an image and of its first copy, rotated or not, of another class."""
        first: dict[str, int] = {}
        for i, digest in enumerate(self.orbit_digests):
            j = first.setdefault(digest, i)
            if self.labels[i] != self.labels[j]:
                yield j, i


def survey(
    folder: Path,
    white_level: int | None = None,
    progress: Progress = lambda _: None,
    *,
    skip_unreadable: bool = False,
    of: Sequence[str] = (),
    processes: int = 1,
) -> Survey:
    """Find the classes and images below ``folder`` and decode every image once.

    Hidden files and folders, and files whose name is not that of an image, do not count.

    Parameters
    ----------
    skip_unreadable
        Whether files that are no readable images are left out instead of refused.
    of
        Classes that there are already, so that ``folder`` may hold any of them, and few images.
    processes
        That decode at the same time, at most, where the files are many.

    Raises
    ------
    ValueError
        If there are not two classes of ``LEAST`` images each, or files are not readable images.
    """
    classes = tuple(of) or _classes(folder)
    found = _files(folder, of)
    _check_none_loose(folder)
    counts = dict.fromkeys(classes, 0)
    for _, label in found:
        counts[classes[label]] += 1
    _check_counts(folder, counts, any_will_do=bool(of))
    looks: list[Look] = []
    kept, unreadable = [], []
    coloured = None
    seen = each(Looking(white_level), [path for path, _ in found], processes)
    for (path, label), look in zip(found, seen, strict=True):
        if isinstance(look, Unreadable):
            unreadable.append(f"{path.relative_to(folder)} ({look.reason})")
            counts[classes[label]] -= 1
        else:
            kept.append((path, label))
            looks.append(look)
            if coloured is None and look.coloured:
                coloured = path
        progress(1)
    if unreadable and not skip_unreadable:
        raise RefusedError(_unreadable(folder, unreadable))
    _check_counts(folder, counts, any_will_do=bool(of))
    return Survey(
        folder=folder,
        classes=classes,
        files=tuple(path for path, _ in kept),
        labels=tuple(label for _, label in kept),
        sizes=tuple(look.size for look in looks),
        digests=tuple(look.digest for look in looks),
        orbit_digests=tuple(look.orbit_digest for look in looks),
        white_level=white_level,
        coloured=coloured,
        unreadable=tuple(unreadable),
    )


def count_images(folder: Path) -> int:
    """Return how many files ``survey`` will read."""
    return sum(len(image_files(entry)) for entry in _sub_folders(folder))


def _files(folder: Path, of: Sequence[str]) -> list[tuple[Path, int]]:
    folders = _sub_folders(folder)
    classes = list(of) or [entry.name for entry in folders]
    strange = [entry.name for entry in folders if entry.name not in classes]
    if strange:
        raise RefusedError(
            f"{folder} has a folder {strange[0]!r}, which is no class; the classes are "
            f"{', '.join(classes)}."
        )
    return [(path, classes.index(entry.name)) for entry in folders for path in image_files(entry)]


def _sub_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise RefusedError(f"There is no folder {folder}.")
    if not _is_utf8(str(folder.resolve())):  # which a run notes
        raise RefusedError(
            f"The name of the folder {folder}, or of one that it lies in, is not UTF-8; names that "
            "are, are accepted."
        )
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir()]
    for name in (entry.name for entry in folders):
        if not _is_utf8(name):
            raise RefusedError(
                f"{folder} has a folder {name!r}, whose name is not UTF-8; a class has one that is."
            )
        if not name.strip():
            raise RefusedError(
                f"{folder} has a folder {name!r}, and a class has a name that can be seen."
            )
    return sorted(folders, key=lambda entry: entry.name)


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in name)


def _classes(folder: Path) -> tuple[str, ...]:
    names = [entry.name for entry in _sub_folders(folder)]
    if not names:
        raise RefusedError(
            f"{folder} has no sub-folders; one sub-folder of images a class is accepted."
        )
    if len(names) == 1:
        raise RefusedError(f"{folder} has one class only, {names[0]!r}; two or more are accepted.")
    if {name.casefold() for name in names} <= _PARTS_OF_DATA:
        raise RefusedError(
            f"{folder} has the folders {' and '.join(names)}, which are parts of a data set and no "
            "classes; one of them is accepted, and --test names another."
        )
    alike = [name for name, count in Counter(map(_composed, names)).items() if count > 1]
    if alike:
        raise RefusedError(
            f"{folder} has two folders that read {alike[0]!r}, composed of other characters; names "
            "that can be told apart are accepted."
        )
    return tuple(names)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _check_none_loose(folder: Path) -> None:
    """Refuse images that lie in no class's folder, as nobody knows what they show."""
    loose = [path.name for path in image_files(folder) if path.parent == folder]
    if loose:
        raise RefusedError(
            f"{folder} has images beside the folders of its classes, as {loose[0]}; images in the "
            "folder of a class are accepted."
        )


def image_files(folder: Path) -> list[Path]:
    """Return the image files below a folder, as `image_paths` finds them, in a fixed order.

    Raises
    ------
    RefusedError
        If a folder cannot be read.
    """
    try:
        return sorted(folder / path for path in image_paths(folder))
    except OSError as error:
        raise RefusedError(
            f"The folder {error.filename} cannot be read: {error.strerror}."
        ) from error


def _check_counts(folder: Path, counts: dict[str, int], *, any_will_do: bool) -> None:
    if any_will_do:
        if not any(counts.values()):
            raise RefusedError(f"There are no images in {folder}; one or more are accepted.")
        return
    small = [f"{name!r} has {count}" for name, count in counts.items() if count < LEAST]
    if small:
        raise RefusedError(
            f"Classes of {folder} have too few images: {_listed(small)}; "
            f"{LEAST} or more in each class are accepted."
        )


def _unreadable(folder: Path, failures: Sequence[str]) -> str:
    files = "A file" if len(failures) == 1 else f"{len(failures)} files"
    return (
        f"{files} of {folder} cannot be read as images: {', '.join(failures)}; "
        "--skip-unreadable trains without."
    )


def _listed(items: Iterable[str], limit: int = 3) -> str:
    """Name up to three items and count the rest."""
    every = list(items)
    more = [f"and {len(every) - limit} more"] if len(every) > limit else []
    return ", ".join(every[:limit] + more)
