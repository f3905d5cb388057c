"""What is told of test images with wrong labels."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from imaging import FitPolicy
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.mistakes import Mistake, confusion_table, find_mistakes, mistakes_table


class Bytes(nn.Sequential):
    """Takes pixels as a `Network` does."""

    def forward(self, images):
        return super().forward(images.float())


def test_a_file_whose_name_is_no_utf_8_is_listed():
    """The run was tested, and ended without its tables and pictures, as a defect."""
    test = Split(np.zeros((1, 1, 6, 6), np.uint8), np.array([0]))
    data = DataSet(
        *("d", ("a", "b"), "none", "0" * 64, FitPolicy(6), test, test),
        test_files=(Path("a/x\udcff.png"),),
    )
    network = Bytes(nn.Flatten(), nn.Linear(36, 2))
    mistakes = find_mistakes(network, data, np.array([1]))
    assert [each.file for each in mistakes] == [r"a/x\xff.png"]
    assert rb'"a/x\xff.png"' in mistakes_table(mistakes, data.classes)


@pytest.mark.parametrize("name", ["=1+1", "\t=1", "|calc", "\uff1d1"])
def test_no_name_is_a_formula_in_its_tables(name):
    mistakes = [Mistake(name, np.zeros((1, 6, 6), np.uint8), 0, 1, 0.5)]
    written = mistakes_table(mistakes, ("a", name)) + confusion_table(
        np.eye(2, dtype=int), ("a", name)
    )
    assert written.decode().count(f'"\'{name}"') == 4
