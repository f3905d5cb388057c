"""ELPV: 2,624 electroluminescence images of solar cells, from the package ``elpv-dataset``.

Sources: Buerhop-Lutz et al. 2018, "A Benchmark for Visual Identification of Defective Solar Cells
in Electroluminescence Imagery"; Deitsch et al. 2019, "Automatic Classification of Defective
Photovoltaic Module Cells in Electroluminescence Images".
"""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imaging import FitPolicy, decode, fit
from imaging.refusal import RefusedError
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.datasets.stratify import stratified_order

NAME = "ELPV"
LICENCE = "CC BY-NC-SA 4.0 (S. Deitsch et al., elpv-dataset)"
CLASSES = ("functional", "defective")
TEST = 656
SEED = 2019
DEFECTIVE = 0.5
"""The least defect probability, of 0, 1/3, 2/3 and 1, that makes a cell count as defective."""

Unit = Literal["cells", "modules"]
"""What is drawn for the test: single cells, or whole modules of some sixty cells."""

_MODULE = 60  # cells
_TESTED = 4  # one module in so many is tested


@dataclass(frozen=True)
class Cells:
    """What the package's list says of N cells, in its order.

    Attributes
    ----------
    files
        Their images.
    probability : float64 [N]
        That the cell is defective, in the eyes of experts.
    kind : str [N]
        Of silicon: "mono" or "poly".
    module : int64 [N]
        The number of its module, as `modules` finds it.
    """

    files: tuple[Path, ...]
    probability: NDArray[np.float64]
    kind: NDArray[np.str_]
    module: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each cell: int64 [N]."""
        return (self.probability >= DEFECTIVE).astype(np.int64)

    @property
    def soft_labels(self) -> NDArray[np.float32]:
        """The probability of each class in the eyes of experts: float32 [N, 2]."""
        return np.stack([1 - self.probability, self.probability], 1).astype(np.float32)

    def split(self, unit: Unit) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which cells are trained on and which are tested: two arrays of indices.

        Single cells are drawn as Deitsch et al. drew them: 1,968 to train and 656 to test,
        stratified by defect probability and kind. Of modules one in four of each kind is tested,
        in the order of the share of their cells that are defective; the cells of one stay together.
        """
        if unit == "cells":
            names = [f"{p} {kind}" for p, kind in zip(self.probability, self.kind, strict=True)]
            _, strata = np.unique(names, return_inverse=True)
            order = stratified_order(strata.astype(np.int64), SEED)
            return order[:-TEST], order[-TEST:]
        numbers, firsts = np.unique(self.module, return_index=True)
        shares = [self.labels[self.module == number].mean() for number in numbers]
        ranked = numbers[np.lexsort((numbers, shares, self.kind[firsts]))]
        tested = np.isin(self.module, ranked[1::_TESTED])
        return np.flatnonzero(~tested), np.flatnonzero(tested)


def read(size: int, unit: Unit = "cells") -> DataSet:
    """Return the cells as ``size x size`` images, split by single cells or by modules.

    Raises
    ------
    ValueError
        If the package is not installed.
    """
    cells = find_cells()
    policy = FitPolicy(size)
    train, test = cells.split(unit)
    order = np.concatenate([train, test])
    files = (cells.files[i] for i in order)
    images = np.stack([fit(decode(path.read_bytes(), 1), policy) for path in files])
    by_module = unit == "modules"
    groups = cells.module[order] if by_module else None
    whole = Split(images, cells.labels[order], groups, cells.soft_labels[order])
    return DataSet(
        name_of(unit),
        CLASSES,
        LICENCE,
        whole.digest(),
        policy,
        whole[: len(train)],
        whole[len(train) :],
        parts=cells.module[train] if by_module else None,
    )


def name_of(unit: Unit) -> str:
    """Return what the data set is called that is split by this unit."""
    return f"{NAME}, split by modules" if unit == "modules" else NAME


def find_cells() -> Cells:
    """Return what the installed package says of its cells.

    Raises
    ------
    ValueError
        If the package is not installed.
    """
    folder = _package() / "data"
    lines = [line.split() for line in (folder / "labels.csv").read_text().splitlines()]
    kind = np.array([line[2] for line in lines])
    return Cells(
        tuple(folder / line[0] for line in lines),
        np.array([float(line[1]) for line in lines]),
        kind,
        modules(kind),
    )


def modules(kind: NDArray[np.str_]) -> NDArray[np.int64]:
    """Number the modules that cells, listed module by module, were cut from.

    The list does not name modules. It has ten runs of one kind, whose lengths are near multiples of
    60; cut into as many equal parts they are 44, as many as there were.

    Parameters
    ----------
    kind : str [N]
        Of each cell, in the order of the list.

    Returns
    -------
    int64 [N]
    """
    ends = [*(np.flatnonzero(kind[1:] != kind[:-1]) + 1), len(kind)]
    numbers, first, start = np.empty(len(kind), np.int64), 0, 0
    for end in ends:
        parts = max(1, round((end - start) / _MODULE))
        numbers[start:end] = first + np.arange(end - start) * parts // (end - start)
        first, start = first + parts, end
    return numbers


def _package() -> Path:
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise RefusedError(
            "The solar cells come in a Python package that is not installed; "
            f"`{sys.executable} -m pip install elpv-dataset` brings it (84 MB, CC BY-NC-SA 4.0)."
        )
    return Path(spec.origin).parent
