"""The comparison on solar cells: equal sizes, figures that are right, a table of what there is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from benchmarks.cells import __main__ as comparison
from benchmarks.cells import cracks, filters, twins
from benchmarks.cells.precision import average_precision
from benchmarks.cells.report import leaks, results
from benchmarks.cells.systems import SYSTEMS, jobs
from benchmarks.cells.twins import Twins
from imaging import FitPolicy
from models.autoconfig import inspection, layers
from models.checkpoint import Run
from models.datasets import elpv
from models.datasets.data_set import DataSet
from models.datasets.elpv import Cells
from models.datasets.split import Split
from models.experiment import Experiment
from models.networks import Network, free_parameters
from models.recipe import Recipe

CRACKS = Path(__file__).parents[2] / "docs/inspection/cracks.png"


def test_both_networks_have_about_as_many_values_and_only_the_plain_one_sees_turned_cells():
    built_in, plain, *_ = SYSTEMS
    sizes = [free_parameters(Network(system.network())) for system in (built_in, plain)]
    assert abs(sizes[1] / sizes[0] - 1) < 0.05
    assert not built_in.recipe().augmentation.dihedral
    assert plain.recipe().augmentation.dihedral
    for recipe in [system.recipe() for system in (built_in, plain)]:  # as they were measured
        assert not (recipe.soft_labels or recipe.cracks)


def test_networks_with_drawn_cracks_differ_in_nothing_else():
    for without, cracked in zip(SYSTEMS[:2], SYSTEMS[2:], strict=True):
        assert cracked.network() == without.network()
        drawn = cracked.recipe().cracks
        assert drawn == inspection()[1].cracks
        assert cracked.recipe() == without.recipe().model_copy(update={"cracks": drawn})


def test_the_honest_split_comes_first_and_seed_by_seed():
    names = [system.name for system in SYSTEMS]
    keys = [job.key for job in jobs(names[1:3], range(2))]
    assert [key[1] for key in keys] == 4 * ["modules"] + 4 * ["cells"]
    assert [key[2] for key in keys[:4]] == [0, 0, 1, 1]
    assert [key[0] for key in keys] == 4 * names[1:3]


@pytest.mark.parametrize(
    ("scores", "expected", "precision"),
    [
        ([3.0, 2.0, 1.0, 0.0], [1, 1, 0, 0], 1),
        ([3.0, 2.0, 1.0, 0.0], [0, 1, 0, 1], (1 / 2 + 2 / 4) / 2),
        ([1.0, 1.0, 1.0, 1.0], [0, 1, 0, 1], 1 / 2),
    ],
)
def test_average_precision_is_that_of_the_definition(scores, expected, precision):
    value, *_ = average_precision(np.array(scores), np.array(expected), None, 0.95)
    assert value == pytest.approx(precision)


def test_the_interval_of_an_average_precision_is_wider_where_cells_are_drawn_by_modules():
    random = np.random.default_rng(0)
    module = np.repeat(np.arange(8), 50)
    expected = random.integers(0, 2, 400)
    hard = module % 2 == 1
    scores = np.where(hard, 0, expected) + random.normal(0, 0.7, 400)
    value, low, high = average_precision(scores, expected, None, 0.95)
    by_module, lower, higher = average_precision(scores, expected, module, 0.95)
    assert lower < low < value == by_module < high < higher


def test_there_is_no_interval_where_all_draws_give_one_value():
    assert average_precision(np.arange(40.0), np.repeat([0, 1], 20), None, 0.95) == [1]


def test_twins_find_the_same_module_where_a_split_cuts_through_one(monkeypatch):
    random = np.random.default_rng(0)
    modules = random.integers(0, 255, (4, 1, 60, 60))
    module = np.repeat(np.arange(4), 6)
    noise = random.integers(-9, 9, (24, 1, 60, 60))
    images = np.clip(modules[module] + noise, 0, 255).astype(np.uint8)
    defective = (module % 2).astype(np.float64)
    cells = Cells((), defective, np.full(24, "mono"), module)
    sides = {
        "cells": (np.arange(24)[::2], np.arange(24)[1::2]),
        "modules": (np.arange(12), np.arange(12, 24)),
    }

    def read(_: int, unit: str) -> DataSet:
        parts = [Split(images[rows], cells.labels[rows]) for rows in sides[unit]]
        return DataSet("", (), "", "", None, *parts)

    monkeypatch.setattr(twins.elpv, "read", read)
    monkeypatch.setattr(twins.elpv, "find_cells", lambda: cells)
    monkeypatch.setattr(Cells, "split", lambda _, unit: sides[unit])
    assert twins.twins("cells") == Twins(1, 1, 0.5)
    assert twins.twins("modules").same_module == 0


def test_the_networks_of_large_filters_differ_in_augmentation_alone():
    without, augmented = filters.SYSTEMS
    assert filters.network(without) == filters.network(augmented)
    assert filters.network(without).layers[0].kernel == 11
    assert not without.recipe().augmentation.dihedral
    assert augmented.recipe().augmentation.dihedral
    Network(filters.network(without))  # its windows tile what they slide over


def test_turned_and_mirrored_copies_stand_out_and_independent_filters_do_not():
    random = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(random.standard_normal((3, 12, 31, 31)), (0, 0, 2, 2))
    independent = list(smooth[:, :, 10:21, 10:21].astype(np.float32))
    copied = [
        np.concatenate([bank[:6], np.rot90(bank[:6], 1, (1, 2))[:, ::-1]]) for bank in independent
    ]
    found = {"untrained": independent, "copies": copied}
    rows = [row.strip("| ").split(" | ") for row in filters.table(found)]
    untrained, copies = (dict(zip(rows[0], row, strict=True)) for row in rows[2:])
    assert copies["regroupings that match as well"] == "0.0%"
    assert copies["filters with a match above 0.9"] == "100.0%"
    assert copies["are copies"] == "yes"
    assert float(untrained["filters with a match above 0.9"].rstrip("%")) < 50
    assert untrained["are copies"] == "not shown"


def test_the_tables_say_what_was_measured_and_medians_of_several_seeds():
    line = {
        "cells": 100,
        "defective": 30,
        "passed": 9,
        "refused": 4,
        "average_precision": [0.8, 0.7, 0.9],
        "accuracy": [0.87, 0.8, 0.93],
        "macro_f1": [0.8],
        "roc_auc": [0.9, 0.85, 0.95],
    }
    better = line | {"accuracy": [0.89, 0.82, 0.95]}
    lines = [
        {
            "key": ["D4", "modules", seed],
            "figures": dict.fromkeys(("all", "mono", "poly"), figures),
        }
        for seed, figures in ((1, better), (0, line))
    ]
    lines[0]["figures"]["poly"] = line
    table = results(lines).splitlines()
    assert results(lines, "poly") != results(lines, "mono") == results(lines)
    assert len(table) == 2 + 3
    assert "| modules | D4 | 0 | 0.870 [0.800, 0.930] | 0.800 |" in table[2]
    assert "| 0.800 [0.700, 0.900] | 9 of 30 | 4 of 70 |" in table[2]
    assert "| median | **0.880** |" in table[4]
    assert "| cells | 70.0% | 75.0% | 68.0% |" in leaks({"cells": Twins(0.7, 0.75, 0.68)})


def test_a_finished_run_is_measured_on_the_test_cells_of_its_split(tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (40, 1, 21, 21)).astype(np.uint8)
    labels = np.arange(40) % 4 // 2
    cells = Cells((), labels.astype(np.float64), np.array(20 * ["mono", "poly"]), labels)
    rows = {"cells": (np.arange(0, 20), np.arange(20, 40)), "modules": (np.arange(4), np.arange(4))}

    def read(_: int, unit: str) -> DataSet:
        parts = [Split(images[of], labels[of]) for of in rows[unit]]
        return DataSet("cells", ("intact", "cracked"), "", unit, FitPolicy(21), *parts)

    monkeypatch.setattr(elpv, "read", read)
    monkeypatch.setattr(elpv, "find_cells", lambda: cells)
    monkeypatch.setattr(Cells, "split", lambda _, unit: rows[unit])
    spec = inspection()[0].model_copy(update={"size": 21, "layers": layers(21, 2)})
    run = Run.begin(tmp_path, Experiment("run", spec, Recipe(epochs=1), read(21, "cells")).info)
    network = Network(spec)
    run.keep(network)
    answers = network.eval()(torch.from_numpy(images[20:])).argmax(1).numpy()
    passed = ((answers == 0) & (labels[20:] == 1)).sum()

    monkeypatch.setattr("sys.argv", ["cells", "--run", str(tmp_path)])
    comparison.main()
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("| cells | accuracy | macro F1 |")
    assert f"| all | {(answers == labels[20:]).mean():.3f} [" in table[2]
    assert f" {passed} of 10 | " in table[2]
    assert table[3].startswith("| mono | ")

    monkeypatch.setattr(elpv, "read", lambda size, unit: replace(read(size, unit), sha256="other"))
    with pytest.raises(SystemExit):
        comparison.main()
    assert "a run of other images than solar cells" in capsys.readouterr().err


def test_drawn_cracks_are_shown_as_the_docs_show_them(tmp_path, monkeypatch):
    out = tmp_path / "new" / "cracks.png"
    monkeypatch.setattr("sys.argv", ["cracks", "--out", str(out)])
    cracks.main()
    shown = [np.array(Image.open(path)).astype(int) for path in (out, CRACKS)]
    assert np.abs(shown[0] - shown[1]).max() <= 1
