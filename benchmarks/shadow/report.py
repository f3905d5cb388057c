"""From rounds to a table and the bars: latencies of all turns together, and their ratios."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.bars import Bar
from benchmarks.shadow.rounds import CONTROL, LOADS, WITHOUT, Round, Turn

REQUIRED = 1.05
CONFIDENCE = 0.95
RESAMPLES = 300
QUANTILES = (0.5, 0.99)
TITLES = {
    "open": "random times",
    "closed": "32 connections",
}

Choice = Sequence[tuple[int, int]]
"""Turns, each by its round and its place in it."""


@dataclass(frozen=True)
class Row:
    """One server under one load.

    Attributes
    ----------
    rate
        Requests a second.
    quantiles
        Of all latencies, in seconds: p50 and p99.
    ratios
        These, of those of the service without shadow audits.
    low, high
        Where the ratios of an endless run lie: a percentile bootstrap of rounds, and of turns
        within a round (Davison and Hinkley, Bootstrap Methods and their Application, section 3.8).
    trials, dropped
        Images that were tried and dropped meanwhile.
    """

    load: str
    name: str
    rate: float
    quantiles: NDArray[np.float64]
    ratios: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    trials: float
    dropped: float


def rows(rounds: Sequence[Round]) -> Sequence[Row]:
    """Compare all servers under all loads."""
    random = np.random.default_rng(0)
    turns = len(next(iter(rounds[0].values())))
    all_turns = [(number, turn) for number in range(len(rounds)) for turn in range(turns)]
    again = [_drawn(len(rounds), turns, random) for _ in range(RESAMPLES)]
    return [row for load in LOADS for row in _rows(rounds, load, all_turns, again)]


def table(found: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table, a line for each row."""
    head = ["load", "share", "requests/s", "p50 ms", "p99 ms"]
    head += ["p50, of without", "p99, of without", "tried", "dropped"]
    yield f"| {' | '.join(head)} |"
    yield "| --- " * len(head) + "|"
    for row in found:
        ratios = [
            f"{ratio:.3f} ({low:.3f} to {high:.3f})"
            for ratio, low, high in zip(row.ratios, row.low, row.high, strict=True)
        ]
        cells = [TITLES[row.load], row.name, f"{row.rate:,.0f}"]
        cells += [f"{1000 * latency:.2f}" for latency in row.quantiles]
        cells += [*ratios, f"{row.trials:,.0f}", f"{row.dropped:,.0f}"]
        yield f"| {' | '.join(cells)} |"


def bars(found: Sequence[Row]) -> Iterator[Bar]:
    """Hold each share under each load against what is required of the p99.

    A bar of a share that was never tried is not measured.
    """
    for row in found:
        if row.name not in (WITHOUT, CONTROL):
            yield Bar(
                f"p99 with shadow audits, of that without (share {row.name}, {TITLES[row.load]})",
                float(row.ratios[-1]) if row.trials or row.load == "closed" else None,
                "at most",
                REQUIRED,
            )


def _rows(
    rounds: Sequence[Round], load: str, all_turns: Choice, again: Sequence[Choice]
) -> Iterator[Row]:
    names = {name for _, name in rounds[0]} - {WITHOUT, CONTROL}
    without = _quantiles(rounds, load, WITHOUT, all_turns)
    without_again = [_quantiles(rounds, load, WITHOUT, choice) for choice in again]
    for name in (WITHOUT, CONTROL, *sorted(names, key=float)):
        turns = _turns(rounds, load, name, all_turns)
        quantiles = _quantiles(rounds, load, name, all_turns)
        drawn = [
            _quantiles(rounds, load, name, choice) / beside
            for choice, beside in zip(again, without_again, strict=True)
        ]
        low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=0)
        yield Row(
            load,
            name,
            sum(turn.load.requests for turn in turns) / sum(turn.load.seconds for turn in turns),
            quantiles,
            quantiles / without,
            low,
            high,
            sum(turn.counted.trials for turn in turns),
            sum(turn.counted.dropped for turn in turns),
        )


def _drawn(rounds: int, turns: int, random: np.random.Generator) -> Choice:
    """Draw rounds, and turns within each, as many as there are, with replacement."""
    return [
        (int(number), int(turn))
        for number in random.integers(rounds, size=rounds)
        for turn in random.integers(turns, size=turns)
    ]


def _turns(rounds: Sequence[Round], load: str, name: str, choice: Choice) -> Sequence[Turn]:
    return [rounds[number][load, name][turn] for number, turn in choice]


def _quantiles(
    rounds: Sequence[Round], load: str, name: str, choice: Choice
) -> NDArray[np.float64]:
    turns = _turns(rounds, load, name, choice)
    latencies = np.concatenate([turn.load.latencies for turn in turns])
    found: NDArray[np.float64] = np.quantile(latencies, QUANTILES)
    return found
