"""Tables and picture of the third claim, and what it comes to, from its raw figures alone.

How figures are read was fixed before a trained network was measured. In a layer, channels are
*copies* if their best matches, rotated, exceed those of all but 1 % of the regroupings, and those
with other networks' channels by more than before training, in each of the networks; they are
*diverse* if they fall below likewise. The claim is shown for a kind of network if most of its
layers have copies, and reversed if most are diverse.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.features.kinds import KINDS, PLAIN, kind_name
from benchmarks.study.systems import AUGMENTED

Line = dict[str, Any]
Layer = dict[str, Any]
Reading = Literal["copies", "diverse", "as independent"]

MAIN = "rotated_quarters"
"""Which rotations a channel's copies have in the tables; orbits have the same with all."""

_STYLES = dict(zip((kind_name(*kind) for kind in KINDS), ("o:", "s--", "^-", "D--"), strict=True))


def write_report(lines: Sequence[Line], folder: Path) -> None:
    """Write tables.md and features.svg into ``folder``, of the kinds that have been measured."""
    names = [kind_name(*kind) for kind in KINDS]
    order = sorted(lines, key=lambda line: (not line["trained"], names.index(line["kind"])))
    (folder / "tables.md").write_text("\n".join(_tables(order)) + "\n")
    matplotlib.rcParams["svg.hashsalt"] = "orbitserve"
    _draw(order).savefig(folder / "features.svg", metadata={"Date": None})


def read_layer(trained: Layer, untrained: Layer) -> Reading:
    """Return what the best matches of a layer's units say, held against both nulls."""
    after, before = trained["matches"][MAIN], untrained["matches"][MAIN]
    excess, excess_before = (
        [mean - matches["null_mean"] for mean in matches["mean"]] for matches in (after, before)
    )
    if after["part_of_regrouped_above"] <= _LEVEL and min(excess) > max(excess_before):
        return "copies"
    if after["part_of_regrouped_above"] >= 1 - _LEVEL and max(excess) < min(excess_before):
        return "diverse"
    return "as independent"


def what_augmentation_does(lines: Sequence[Line]) -> Iterator[str]:
    """Yield a table of it: networks of one seed begin with the same weights."""
    plain, augmented = (
        next((line for line in lines if line["trained"] and line["kind"] == system.name), None)
        for system in (PLAIN, AUGMENTED)
    )
    if plain is None or augmented is None:
        return
    yield from _header("Augmented, less plain of the same seed", lines)
    for title, field in (("R², quarters", "r2_quarters"), ("effective rank", "effective_rank")):
        layers = zip(augmented["layers"], plain["layers"], strict=True)
        differences = (zip(after[field], before[field], strict=True) for after, before in layers)
        cells = (_spread([a - b for a, b in pair]) for pair in differences)
        yield f"| {title} | {' | '.join(cells)} |"


_LEVEL = 0.01


def _tables(lines: Sequence[Line]) -> Iterator[str]:
    yield "Medians of three networks of a kind, smallest and largest in brackets."
    yield ""
    yield "| | parameters | multiply-adds | wrong, % of the validation digits |"
    yield "| --- | --- | --- | --- |"
    for line in lines:
        if line["trained"]:
            size = f"{line['free_parameters']:,} | {line['multiply_adds']:,}"
            yield f"| {line['kind']} | {size} | {_spread(line['errors'])} |"
    for title, cell in _CELLS.items():
        yield from _table(lines, title, cell)
    yield from what_augmentation_does(lines)
    before = {_size(line): line for line in lines if not line["trained"]}
    yield from _header("Best matches read against both nulls", lines)
    for line in lines:
        if line["trained"] and _size(line) in before:
            pairs = zip(line["layers"], before[_size(line)]["layers"], strict=True)
            yield f"| {line['kind']} | {' | '.join(read_layer(*pair) for pair in pairs)} |"


def _size(line: Line) -> int:
    """Return what tells networks apart, however they are trained."""
    size: int = line["free_parameters"]
    return size


def _table(lines: Sequence[Line], title: str, cell: Callable[[Layer], str]) -> Iterator[str]:
    yield from _header(title, lines)
    for line in lines:
        name = line["kind"] if line["trained"] else f"{line['kind']}, untrained"
        yield f"| {name} | {' | '.join(map(cell, line['layers']))} |"


def _header(title: str, lines: Sequence[Line]) -> Iterator[str]:
    layers = len(lines[0]["layers"])
    yield ""
    yield f"| {title} | " + " | ".join(f"layer {i + 1}" for i in range(layers)) + " |"
    yield "| --- " * (1 + layers) + "|"


def _field(name: str) -> Callable[[Layer], str]:
    return lambda layer: _spread(layer[name])


def _match(name: str) -> Callable[[Layer], str]:
    return lambda layer: _spread(layer["matches"][name]["mean"])


def _regrouped(layer: Layer) -> str:
    matches = layer["matches"][MAIN]
    low, high = matches["regrouped_band"]
    return f"[{low:.2f}, {high:.2f}], {matches['part_of_regrouped_above']:.3f}"


def _null_mean(layer: Layer) -> str:
    return f"{layer['matches'][MAIN]['null_mean']:.2f}"


def _copies(layer: Layer) -> str:
    matches = layer["matches"][MAIN]
    return f"{_spread(matches['copies_percent'])}; {matches['null_copies_percent']:.1f}"


def _per_channel(layer: Layer) -> str:
    return _spread(_ranks_a_channel(layer))


def _per_thousand(layer: Layer) -> str:
    return _spread([1000 * rank / layer["free_parameters"] for rank in layer["effective_rank"]])


_CELLS: dict[str, Callable[[Layer], str]] = {
    "R² of the maps of the image rotated by quarters": _field("r2_quarters"),
    "R² of the maps of the image rotated by 45 and 135 degrees": _field("r2_eighths"),
    "R² of the maps resampled by 45 degrees and back, image unrotated": _field("r2_resampled"),
    "R² of another network's maps of the image": _field("r2_other_network"),
    "R² of the maps of another image, rotated by a quarter": _field("r2_other_image"),
    "Mean best match with another unit, rotated by quarters": _match(MAIN),
    "The same with units of other networks": _null_mean,
    "The same of regrouped units: 99 % band, and the part of them that is above": _regrouped,
    "Copies, % of units with a match above 0.9; with units of other networks": _copies,
    "Mean best match, unrotated": _match("unrotated"),
    "Mean best match, rotated by 45 and 135 degrees": _match("eighths"),
    "Mean best match on another image": _match("other_image"),
    "Mean correlation of channels with themselves, rotated by quarters": _field("self_similarity"),
    "Effective rank": _field("effective_rank"),
    "Effective rank a channel": _per_channel,
    "Effective rank a thousand parameters": _per_thousand,
    "Participation ratio": _field("participation_ratio"),
}


def _draw(lines: Sequence[Line]) -> Figure:
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    rotated, matched, ranked = figure.subplots(1, 3)
    for line in lines:
        if line["trained"]:
            _curve(rotated, line, lambda layer: layer["r2_quarters"])
            _curve(matched, line, _excess)
            _curve(ranked, line, _ranks_a_channel)
    matched.axhline(0, color="black", linewidth=0.6)
    rotated.set_title("R² of a rotated image's maps", fontsize="medium")
    matched.set_title("best rotated match, less that with\nanother network", fontsize="medium")
    ranked.set_title("effective rank a channel", fontsize="medium")
    for axes in (rotated, matched, ranked):
        axes.set_xlabel("layer")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = rotated.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=3)
    return figure


def _ranks_a_channel(layer: Layer) -> list[float]:
    return [rank / layer["channels"] for rank in layer["effective_rank"]]


def _excess(layer: Layer) -> list[float]:
    matches = layer["matches"][MAIN]
    return [mean - matches["null_mean"] for mean in matches["mean"]]


def _curve(axes: Axes, line: Line, values: Callable[[Layer], list[float]]) -> None:
    spreads = [values(layer) for layer in line["layers"]]
    places = range(1, 1 + len(spreads))
    style = _STYLES[line["kind"]]
    axes.plot(
        places, [median(v) for v in spreads], style, color="black", label=line["kind"], markersize=5
    )
    low, high = [min(v) for v in spreads], [max(v) for v in spreads]
    axes.fill_between(places, low, high, color="black", alpha=0.08, linewidth=0)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"
