import importlib.util

import numpy as np
import pytest

from models.datasets import elpv

SHA256 = "7f7b8c8ab9c70b7ee5f7ac2f1896cf049024c77416585cebba6f678b9dc7c32a"

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
