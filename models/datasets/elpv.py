"""ELPV: 2,624 electroluminescence images of solar cells, from the package ``elpv-dataset``.

Sources: Buerhop-Lutz et al. 2018, "A Benchmark for Visual Identification of Defective Solar Cells
in Electroluminescence Imagery"; Deitsch et al. 2019, "Automatic Classification of Defective
Photovoltaic Module Cells in Electroluminescence Images", whose split it follows: 1,968 cells to
train, 656 to test, stratified by defect probability and kind of module.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

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


def read(size: int) -> DataSet:
    """Return the cells as ``size x size`` images.

    Raises
    ------
    ValueError
        If the package is not installed.
    """
    folder = _package() / "data"
    cells = [line.split() for line in (folder / "labels.csv").read_text().splitlines()]
    probability = np.array([float(cell[1]) for cell in cells])
    _, strata = np.unique([" ".join(cell[1:]) for cell in cells], return_inverse=True)
    order = stratified_order(strata.astype(np.int64), SEED)
    policy = FitPolicy(size)
    files = (folder / cells[i][0] for i in order)
    images = np.stack([fit(decode(path.read_bytes(), 1), policy) for path in files])
    whole = Split(images, (probability[order] >= DEFECTIVE).astype(np.int64))
    train, test = whole[:-TEST], whole[-TEST:]
    return DataSet(NAME, CLASSES, LICENCE, whole.digest(), policy, train, test)


def _package() -> Path:
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise RefusedError(
            "The solar cells come in a Python package that is not installed; "
            f"`{sys.executable} -m pip install elpv-dataset` brings it (84 MB, CC BY-NC-SA 4.0)."
        )
    return Path(spec.origin).parent
