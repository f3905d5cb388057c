"""What is printed, in Markdown, and what is kept, in JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.serving import photographs, resnet
from benchmarks.serving.bars import Bar, bars, rates
from benchmarks.serving.endurance import Memory
from benchmarks.serving.photographs import Photographs
from benchmarks.serving.rounds import (
    BARE,
    LARGE,
    LARGE_CONNECTIONS,
    MEMORY,
    Case,
    Figure,
    Round,
)
from benchmarks.serving.systems import SYSTEMS

TITLES = {system.name: system.title for system in SYSTEMS} | {BARE: "the bare session, alone"}


@dataclass(frozen=True)
class Results:
    """All that one run measured, and what it measured it on."""

    machine: str
    model: str
    versions: Mapping[str, str]
    rounds: Sequence[Round]
    refused: Mapping[str, str]
    memory: Memory | None
    ready: Sequence[float]
    photographs: Photographs | None = None

    @property
    def bars(self) -> list[Bar]:
        """What was measured, held against the bars."""
        return bars(self.rounds, self.memory, self.ready)


def markdown(results: Results) -> str:
    """Return the tables, what was not measured and why, and the bars."""
    return "\n".join(
        [
            f"{results.machine}; {results.model}.",
            f"Medians of {_count(results)} round(s), smallest and largest in brackets.",
            "Versions: " + ", ".join(f"{n} {v}" for n, v in results.versions.items()) + ".",
            "",
            *_digits(results.rounds),
            *_photographs(results.photographs),
            *(f"not measured: {what}: {reason}" for what, reason in results.refused.items()),
            *(f"bar: {bar}" for bar in results.bars),
        ]
    )


def to_json(results: Results) -> str:
    """Return every figure of every round."""
    values = {
        "machine": results.machine,
        "model": results.model,
        "versions": dict(results.versions),
        "rounds": _rounds(results.rounds),
        "refused": dict(results.refused),
        "memory": results.memory and asdict(results.memory),
        "ready_seconds": list(results.ready),
        "photographs": results.photographs
        and {
            "rounds": _rounds(results.photographs.rounds),
            "decoding_seconds": results.photographs.decoding,
            "fitting_seconds": results.photographs.fitting,
        },
        "bars": [asdict(bar) | {"met": bar.met} for bar in results.bars],
    }
    return json.dumps(values, indent=2)


def _rounds(rounds: Sequence[Round]) -> list[list[dict[str, Any]]]:
    return [
        [asdict(case) | asdict(figure) for case, figure in figures.items()] for figures in rounds
    ]


def _count(results: Results) -> int:
    return len(results.rounds or (results.photographs.rounds if results.photographs else ()))


def _digits(rounds: Sequence[Round]) -> Iterator[str]:
    if rounds:
        yield from (*_single(rounds), "", *_large(rounds), "")


def _single(rounds: Sequence[Round]) -> Iterator[str]:
    yield "| one image a request | format | requests/s, 32 connections | p50 ms, 1 connection |"
    yield "| --- | --- | --- | --- |"
    alone = _figures(rounds, Case(BARE, MEMORY, 1, 1))
    yield f"| the bare session, one call at a time | {MEMORY} | {_rate(alone)} | {_p50(alone)} |"
    rows = dict.fromkeys((c.system, c.format) for r in rounds for c in r if c.system != BARE)
    for system, sent in rows:
        many, lone = (_figures(rounds, Case(system, sent, 1, n)) for n in (32, 1))
        yield f"| {TITLES[system]} | {sent} | {_rate(many)} | {_p50(lone)} |"


def _large(rounds: Sequence[Round]) -> Iterator[str]:
    head = f"{LARGE} images a request, {LARGE_CONNECTIONS} connections"
    yield f"| {head} | format | images/s | of the bare session's |"
    yield "| --- | --- | --- | --- |"
    base = Case(BARE, MEMORY, LARGE, 1)
    for case in dict.fromkeys(c for r in rounds for c in r if c.images == LARGE):
        cells = f"{TITLES[case.system]} | {case.format} | {_rate(_figures(rounds, case))}"
        yield f"| {cells} | {_part(rounds, case, base)} |"


def _photographs(measured: Photographs | None) -> Iterator[str]:
    if measured is None:
        return
    lone, many = photographs.CONNECTIONS
    head = f"a ResNet-50, photographs of {resnet.WIDTH} x {resnet.HEIGHT}"
    yield (
        f"| {head} | format | images/s, {many} connections | of the bare session's "
        f"| p50 ms, {lone} connection |"
    )
    yield "| --- | --- | --- | --- | --- |"
    rounds, base = measured.rounds, Case(BARE, MEMORY, 1, 1)
    alone = _figures(rounds, base)
    yield f"| {TITLES[BARE]} | {MEMORY} | {_rate(alone)} | 1.00 | {_p50(alone)} |"
    for system, sent in dict.fromkeys((c.system, c.format) for r in rounds for c in r if c != base):
        busy, single = Case(system, sent, 1, many), Case(system, sent, 1, lone)
        part = _part(rounds, busy, base)
        cells = f"{TITLES[system]} | {sent} | {_rate(_figures(rounds, busy))} | {part}"
        yield f"| {cells} | {_p50(_figures(rounds, single))} |"
    yield ""
    yield (
        f"A JPEG file takes {1000 * measured.decoding:.1f} ms of one core to be decoded and "
        f"{1000 * measured.fitting:.1f} ms to be fitted to {resnet.SIDE} x {resnet.SIDE}."
    )
    yield ""


def _part(rounds: Sequence[Round], case: Case, base: Case) -> str:
    ratio = rates(rounds, case, base)
    return "-" if ratio is None else f"{ratio:.2f}"


def _figures(rounds: Sequence[Round], case: Case) -> list[Figure]:
    return [r[case] for r in rounds if case in r]


def _rate(figures: Sequence[Figure]) -> str:
    return _spread([f.images_per_second for f in figures], ",.0f")


def _p50(figures: Sequence[Figure]) -> str:
    return _spread([1000 * f.p50 for f in figures], ".2f")


def _spread(values: Sequence[float], spec: str) -> str:
    """Return the median, with the smallest and the largest in brackets where there are several."""
    if not values:
        return "-"
    middle = format(median(values), spec)
    if len(values) == 1:
        return middle
    return f"{middle} [{format(min(values), spec)}, {format(max(values), spec)}]"
