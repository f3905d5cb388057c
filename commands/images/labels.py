"""What the folders that images lie in, and the cells of tables, say of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from audit import ClassNames
from audit.class_names import listed
from imaging import RefusedError
from service.decoding.files import ImageFile


@dataclass(frozen=True, eq=False)
class FolderLabels:
    """What was understood.

    Attributes
    ----------
    labels : int64 [N], or None
        None where no folder is named as a class.
    sentence
        What was understood, for whoever gave the folders; empty where there are no sub-folders, and
        so nothing that could have been misunderstood.
    """

    labels: npt.NDArray[np.int64] | None
    sentence: str


_OTHERWISE: Final = (
    "--no-labels reads all images without labels, --labels a CSV file with the class of each"
)


def folder_labels(
    files: Sequence[ImageFile], classes: ClassNames, otherwise: str = _OTHERWISE
) -> FolderLabels:
    """Read labels where every image lies in a sub-folder that is named as a class.

    Folders of unsorted images have no labels. Where some images have one and others have none,
    nobody but who sorted them knows what is meant.

    Parameters
    ----------
    otherwise
        What to do about that, in the words of the command.

    Raises
    ------
    ValueError
        If some images lie in a sub-folder that is named as a class, and others do not.
    """
    counts = Counter(file.folder for file in files)
    loose = counts.pop(None, 0)
    meant = {name: classes.find(name) for name in sorted(filter(None, counts))}
    known = [name for name, index in meant.items() if index is not None]
    others = [name for name, index in meant.items() if index is None]
    if known and not others and not loose:
        labels = [meant[file.folder or ""] for file in files]
        told = [f"{name} ({counts[name]})" for name in known]
        return FolderLabels(
            np.array(labels, np.int64), f"Labels are read from the sub-folders {listed(told)}."
        )
    if known:
        rest = [f"the sub-folder {name} is not" for name in others[:1]]
        if len(others) > 1:
            rest = [f"the sub-folders {listed(others)} are not"]
        if loose:
            rest.append(f"{loose} images lie in none")
        are = "is named as a class" if len(known) == 1 else "are named as classes"
        raise RefusedError(
            f"Of the sub-folders, {listed(known)} {are} of the model, but "
            f"{' and '.join(rest)} ({classes}); {otherwise}."
        )
    if others:
        return FolderLabels(
            None,
            f"No labels are read: the sub-folders ({listed(others)}) are not named as classes of "
            f"the model ({classes}).",
        )
    return FolderLabels(None, "")


def class_of_cell(cell: Any, classes: ClassNames, count: int, where: str) -> int:
    """The class that a cell of a table means: by its name, or else by its number.

    Parameters
    ----------
    count
        How many classes there are.
    where
        What the row is called in a refusal.

    Raises
    ------
    RefusedError
        If it is no class, or the number of one and the name of another.
    """
    if type(cell) is not int or cell >= 2**63:  # which yes and no are not
        return classes.index(str(cell), where)
    named = classes.find(str(cell))
    if named is not None and named != cell and 0 <= cell < count:
        raise RefusedError(
            f"{where} has the label {cell}, which is the number of one class and the name of "
            "another; texts, which are names, are accepted there."
        )
    return cell if named is None else named
