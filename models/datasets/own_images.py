"""A folder of one's own images as a data set: read twice, fitted, and split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imaging import FitPolicy
from imaging.refusal import RefusedError
from models.datasets.data_set import DataSet
from models.datasets.folder import Progress, Survey, count_images, survey
from models.datasets.folder_source import FolderSource
from models.datasets.parts import (
    check_parts,
    nearest_boundary,
    part_strata,
    parts_by_name,
    same_parts,
)
from models.datasets.split import Split
from models.datasets.stratify import stratified_order
from models.datasets.workers import Fitting, Unreadable, each

LICENCE = "not stated"
TEST_PART = 0.2
SEED = 0


@dataclass(frozen=True)
class OwnImages:
    """The images of a `FolderSource`, once every file has been decoded.

    Attributes
    ----------
    parts : int64 [N]
        The part that each image of ``found`` shows.
    tested, tested_parts
        The folder of test images, if there is one, and which part each shows.
    processes
        That decode at the same time, at most.
    """

    source: FolderSource
    found: Survey
    parts: NDArray[np.int64]
    tested: Survey | None = None
    processes: int = 1
    tested_parts: NDArray[np.int64] | None = None

    @classmethod
    def survey(
        cls, source: FolderSource, progress: Progress = lambda _: None, processes: int = 1
    ) -> "OwnImages":
        """Decode every image once.

        Raises
        ------
        ValueError
            As `models.datasets.folder.survey` does, or if parts are not told by ``group_by``.
        """

        def look(folder: Path, of: Sequence[str] = ()) -> Survey:
            return survey(
                folder,
                source.white_level,
                progress,
                skip_unreadable=source.skip_unreadable,
                of=of,
                processes=processes,
            )

        found = look(source.folder)
        tested = None if source.test is None else look(source.test, found.classes)
        parts = _parts(found, source.group_by)
        apart = None
        if tested is not None and source.group_by is not None:
            apart = _named_parts(tested, source.group_by)
        return cls(source, found, parts, tested, processes, apart)

    def parts_of_both(self) -> list[str]:
        """The parts, by name, of which there are images to train on as well as to test on."""
        rule = self.source.group_by
        if rule is None or self.tested is None:
            return []
        trained, tested = (parts_by_name(_names(each), rule) for each in (self.found, self.tested))
        return [part.replace("\0", " ") for part in sorted({*trained} & {*tested})]

    @property
    def channels(self) -> Literal[1, 3]:
        """How many channels of the images are read."""
        return self.source.channels or self.found.channels

    def source_of(self, policy: FitPolicy) -> FolderSource:
        """Return the source with what was found out, and with paths that mean the same anywhere."""
        found = {"size": policy.size, "channels": self.channels}
        return self.source.model_copy(update=found).at_home()

    def read(self, policy: FitPolicy, progress: Progress = lambda _: None) -> DataSet:
        """Return the images as ``policy`` fits them, split with stratification.

        The training images are in stratified order too, so that the last ones are a stratified
        sample, and images of one part are neighbours.

        Raises
        ------
        ValueError
            If a file could be read by `survey` and cannot any more.
        """
        found = self.found
        labels = np.array(found.labels, np.int64)
        order, test = self._split(labels)
        files, names = [found.files[i] for i in order], [found.name_of(i) for i in order]
        labels, parts = labels[order], self.parts[order]
        if self.tested:
            extra = stratified_order(np.array(self.tested.labels, np.int64), SEED)
            files += [self.tested.files[i] for i in extra]
            names += [self.tested.name_of(i) for i in extra]
            labels = np.concatenate([labels, np.array(self.tested.labels, np.int64)[extra]])
            groups = None if self.tested_parts is None else self.tested_parts[extra]
            test = len(extra)
        elif self.source.group_by is None:
            groups = None
        else:
            groups = parts[len(parts) - test :]
        images = np.empty((len(files), self.channels, policy.size, policy.size), np.uint8)
        fitting = Fitting(self.channels, policy, found.white_level)
        for row, image in enumerate(each(fitting, files, self.processes)):
            if isinstance(image, Unreadable):
                raise RefusedError(f"{files[row]} cannot be read any more: {image.reason}.")
            images[row] = image
            progress(1)
        whole = Split(images, labels)
        train = len(whole) - test
        return DataSet(
            name=found.name,
            classes=found.classes,
            licence=LICENCE,
            sha256=whole.digest(),
            fit=policy,
            train=whole[:train],
            test=Split(images[train:], labels[train:], groups),
            white_level=found.white_level,
            parts=parts[:train],
            test_files=tuple(names[train:]),
        )

    def tested_classes(self) -> NDArray[np.float64]:
        """What part of the images of each class are test images, where a part is: float64 [K]."""
        labels = np.array(self.found.labels, np.int64)
        order, test = self._split(labels)
        of_all = np.bincount(labels)
        return np.bincount(labels[order[len(order) - test :]], minlength=len(of_all)) / of_all

    def _split(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
        """Return the images in stratified order, and how many of the last ones are test images."""
        order = self._order(labels)
        return order, nearest_boundary(self.parts[order], round(TEST_PART * len(order)))

    def _order(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the images in the stratified order of their parts."""
        order = stratified_order(part_strata(self.parts, labels), SEED)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return np.argsort(place[self.parts], kind="stable")


def count_files(source: FolderSource) -> int:
    """Return how many files `OwnImages.survey` reads."""
    return count_images(source.folder) + (count_images(source.test) if source.test else 0)


def _parts(found: Survey, group_by: str | None) -> NDArray[np.int64]:
    if group_by is None:
        parts = same_parts(found.orbit_digests)
        check_parts(parts, np.array(found.labels, np.int64), found.classes, "different images")
        return parts
    parts = _named_parts(found, group_by)
    if len(set(parts.tolist())) == len(parts):
        raise RefusedError(
            f"--group-by {group_by!r} finds another part in every file of {found.folder}; without "
            "it images are split one by one."
        )
    check_parts(parts, np.array(found.labels, np.int64), found.classes, "parts by --group-by")
    return parts


def _named_parts(found: Survey, group_by: str) -> NDArray[np.int64]:
    return same_parts(parts_by_name(_names(found), group_by), found.orbit_digests)


def _names(found: Survey) -> list[Path]:
    """The files, as seen from the folder of their class."""
    return [Path(*found.name_of(i).parts[1:]) for i in range(len(found.files))]
