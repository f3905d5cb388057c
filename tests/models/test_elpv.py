import importlib.util

import numpy as np
import pytest

from models.datasets import elpv

SHA256 = "d43f47e3c772d3948280e4208298788b5097b0aa1188f2ffb1b1ae4391f0e3fa"

installed = pytest.mark.skipif(
    importlib.util.find_spec("elpv_dataset") is None, reason="elpv-dataset is not installed"
)


def test_without_the_package_the_command_that_brings_it_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install elpv-dataset"):
        elpv.read(16)


@installed
@pytest.mark.slow
def test_the_split_is_that_of_the_protocol():
    cells = elpv.read(16)
    assert (len(cells.train), len(cells.test)) == (1968, 656)
    labels = np.concatenate([cells.train.labels, cells.test.labels])
    # 715 cells are certainly defective and 106 probably.
    assert np.bincount(labels).tolist() == [1803, 821]
    for part in (cells.train, cells.test, cells.train[-394:]):
        assert abs(part.labels.sum() - len(part) * 821 / 2624) <= 4
    # The package's files, the code that serves and the split's seed, bit for bit.
    assert cells.sha256 == SHA256
    for part in (cells.train, cells.test):
        assert ((part.soft_labels[:, 1] >= 0.5) == part.labels).all()
        assert (part.soft_labels.sum(1) == 1).all()


def test_runs_of_one_kind_are_cut_into_modules_of_sixty_cells():
    kind = np.array(["mono"] * 60 + ["poly"] * 119 + ["mono"] * 72)
    numbers = elpv.modules(kind)
    assert np.bincount(numbers).tolist() == [60, 60, 59, 72]
    assert (np.diff(numbers) >= 0).all()


@installed
def test_a_module_is_on_one_side_and_both_kinds_are_tested():
    cells = elpv.find_cells()
    train, test = cells.split("modules")
    assert sorted([*train, *test]) == list(range(2624))
    assert len(np.unique(cells.module)) == 44
    assert not set(cells.module[train]) & set(cells.module[test])
    assert len(np.unique(cells.module[test])) == 11
    for kind in ("mono", "poly"):
        shares = [cells.labels[part][cells.kind[part] == kind].mean() for part in (train, test)]
        assert abs(shares[0] - shares[1]) < 0.05
