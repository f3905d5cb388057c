"""Tables of what the networks gave, as Markdown."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.cells.systems import SPLITS, SYSTEMS
from benchmarks.cells.twins import Twins

Line = Mapping[str, Any]


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


def results(lines: Sequence[Line]) -> str:
    """Return the table of all networks, with medians over the seeds where there are several."""
    rows = [
        "| split by | network | seed | accuracy | macro F1 | ROC AUC | average precision | "
        "defective cells passed | functional ones refused | of mono, of poly right |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for split in SPLITS:
        for system in SYSTEMS:
            ours = [line for line in lines if tuple(line["key"][:2]) == (system.name, split)]
            ours.sort(key=lambda line: int(line["key"][2]))
            rows += [_row(line) for line in ours]
            if len(ours) > 1:
                rows.append(_medians(split, system.name, ours))
    return "\n".join(rows)


def _row(line: Line) -> str:
    system, split, seed = line["key"]
    figures = line["figures"]["all"]
    measured = [_with_interval(figures[name]) for name in ("accuracy", "macro_f1", "roc_auc")]
    functional = figures["cells"] - figures["defective"]
    rest = [
        f"{figures['average_precision']:.3f}",
        f"{figures['passed']} of {figures['defective']}",
        f"{figures['refused']} of {functional}",
        ", ".join(f"{line['figures'][kind]['accuracy'][0]:.3f}" for kind in ("mono", "poly")),
    ]
    return "| " + " | ".join([split, system, str(seed), *measured, *rest]) + " |"


def _with_interval(values: Sequence[float]) -> str:
    value, *interval = values
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _medians(split: str, system: str, lines: Sequence[Line]) -> str:
    return "| " + " | ".join([split, system, "median", *_columns(lines)]) + " |"


def _columns(lines: Sequence[Line]) -> Iterator[str]:
    figures = [line["figures"]["all"] for line in lines]
    for name in ("accuracy", "macro_f1", "roc_auc"):
        yield f"**{statistics.median(one[name][0] for one in figures):.3f}**"
    yield f"**{statistics.median(one['average_precision'] for one in figures):.3f}**"
    for name in ("passed", "refused"):
        yield f"{statistics.median(one[name] for one in figures):g}"
    kinds = [[line["figures"][kind]["accuracy"][0] for line in lines] for kind in ("mono", "poly")]
    yield ", ".join(f"{statistics.median(values):.3f}" for values in kinds)
