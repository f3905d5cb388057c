"""Tables of what the networks gave, as Markdown."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.cells.systems import SPLITS, SYSTEMS
from benchmarks.cells.twins import Twins

Line = Mapping[str, Any]

_RATES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
}


def leaks(found: Mapping[str, Twins]) -> str:
    """Return the table of what each split gives away."""
    rows = [
        "| split by | the most similar training cell is of the same module | has the same label | "
        "cells of the larger class |",
        "| --- | --- | --- | --- |",
    ]
    rows += [
        f"| {split} | {one.same_module:.1%} | {one.same_label:.1%} | {one.majority:.1%} |"
        for split, one in found.items()
    ]
    return "\n".join(rows)


def results(lines: Sequence[Line], cells: str = "all") -> str:
    """Return the table of all networks, with medians over the seeds where there are several.

    Parameters
    ----------
    cells
        Those that figures are of: "all", "mono" or "poly".
    """
    rows = _head("split by", "network", "seed")
    for split in SPLITS:
        for system in SYSTEMS:
            ours = [line for line in lines if tuple(line["key"][:2]) == (system.name, split)]
            ours.sort(key=lambda line: int(line["key"][2]))
            figures = [line["figures"][cells] for line in ours]
            for line, measured in zip(ours, figures, strict=True):
                rows.append(_row(split, system.name, line["key"][2], *_measured(measured)))
            if len(ours) > 1:
                rows.append(_row(split, system.name, "median", *_medians(figures)))
    return "\n".join(rows)


def parts(figures: Mapping[str, Line]) -> str:
    """Return the table of one network, with a row for all cells and for each kind of silicon."""
    rows = [_row(cells, *_measured(measured)) for cells, measured in figures.items()]
    return "\n".join(_head("cells") + rows)


def _head(*first: str) -> list[str]:
    columns = [*first, *_RATES.values(), "defective cells passed", "functional ones refused"]
    return [_row(*columns), _row(*["---"] * len(columns))]


def _row(*columns: object) -> str:
    return f"| {' | '.join(map(str, columns))} |"


def _measured(figures: Line) -> Iterator[str]:
    for name in _RATES:
        value, *interval = figures[name]
        yield f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
    yield f"{figures['passed']} of {figures['defective']}"
    yield f"{figures['refused']} of {figures['cells'] - figures['defective']}"


def _medians(figures: Sequence[Line]) -> Iterator[str]:
    for name in _RATES:
        yield f"**{statistics.median(one[name][0] for one in figures):.3f}**"
    for name in ("passed", "refused"):
        yield f"{statistics.median(one[name] for one in figures):g}"
