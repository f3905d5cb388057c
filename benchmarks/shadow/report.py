"""From rounds to a table and the bars: latencies of all turns together, and their ratios."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.bars import Bar
from benchmarks.shadow.rounds import CONTROL, OPEN, STATES, WITH, WITHOUT, Round, Turn

REQUIRED = 1.05
CONFIDENCE = 0.95
RESAMPLES = 300
QUANTILES = (0.5, 0.99)

COMPARED = {WITHOUT: (WITHOUT,), CONTROL: (WITHOUT,), WITH: (WITHOUT, CONTROL)}
"""With what each state is compared: with audits, with all that was seen without."""

Quantiles = NDArray[np.float64]
"""`QUANTILES` of latencies, in seconds, or their ratios."""


@dataclass(frozen=True)
class Row:
    """One state under one load, of the services with one share.

    Attributes
    ----------
    rate
        Requests a second.
    quantiles
        Of all latencies, in seconds: p50 and p99.
    ratios
        These, of those of the states it is compared with.
    low, high
        Where the ratios of an endless run lie: a percentile bootstrap of rounds, and of turns
        within a round (Davison and Hinkley, Bootstrap Methods and their Application, section 3.8).
    trials, dropped
        Images that were tried and dropped meanwhile: none without audits.
    """

    load: str
    share: str
    state: str
    rate: float
    quantiles: Quantiles
    ratios: Quantiles
    low: Quantiles
    high: Quantiles
    trials: float
    dropped: float


def rows(rounds: Sequence[Round]) -> Sequence[Row]:
    """Compare all states under all loads, of each share by itself."""
    random = np.random.default_rng(0)
    return [row for load, share in rounds[0] for row in _rows(rounds, load, share, random)]


def table(found: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table, a line for each row."""
    head = ["share", "load", "audits", "requests/s", "p50 ms", "p99 ms"]
    head += ["p50, of without", "p99, of without", "tried", "dropped"]
    yield f"| {' | '.join(head)} |"
    yield "| --- " * len(head) + "|"
    for row in found:
        ratios = [
            f"{ratio:.3f} ({low:.3f} to {high:.3f})"
            for ratio, low, high in zip(row.ratios, row.low, row.high, strict=True)
        ]
        cells = [row.share, row.load, row.state, f"{row.rate:,.0f}"]
        cells += [f"{1000 * latency:.2f}" for latency in row.quantiles]
        cells += [*ratios, f"{row.trials:,.0f}", f"{row.dropped:,.0f}"]
        yield f"| {' | '.join(cells)} |"


def bars(found: Sequence[Row]) -> Iterator[Bar]:
    """Hold each share under each load against what is required of the p99.

    A bar of a share that was never tried is not measured; 32 connections may leave no time for it.
    """
    for row in found:
        if row.state == WITH:
            yield Bar(
                f"p99 with shadow audits, of that without (share {row.share}, {row.load})",
                float(row.ratios[-1]) if row.trials or row.load != OPEN else None,
                "at most",
                REQUIRED,
            )


def _rows(
    rounds: Sequence[Round], load: str, share: str, random: np.random.Generator
) -> Iterator[Row]:
    turns = [each[load, share] for each in rounds]
    all_turns = [turn for each in turns for turn in each]
    again = [_drawn(turns, random) for _ in range(RESAMPLES)]
    seconds = sum(turn.seconds for turn in all_turns)
    for state in STATES:
        drawn = [_ratios(choice, state) for choice in again]
        low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=0)
        counted = [turn.counted for turn in all_turns if state == WITH]
        yield Row(
            load,
            share,
            state,
            sum(len(turn.latencies[state]) for turn in all_turns) / seconds,
            _quantiles(all_turns, (state,)),
            _ratios(all_turns, state),
            low,
            high,
            sum(each.trials for each in counted),
            sum(each.dropped for each in counted),
        )


def _drawn(turns: Sequence[Sequence[Turn]], random: np.random.Generator) -> Sequence[Turn]:
    """Draw rounds, and turns within each, as many as there are, with replacement."""
    rounds = random.integers(len(turns), size=len(turns))
    return [
        turns[number][turn]
        for number in rounds
        for turn in random.integers(len(turns[number]), size=len(turns[number]))
    ]


def _ratios(turns: Sequence[Turn], state: str) -> Quantiles:
    ratios: Quantiles = _quantiles(turns, (state,)) / _quantiles(turns, COMPARED[state])
    return ratios


def _quantiles(turns: Sequence[Turn], states: Sequence[str]) -> Quantiles:
    latencies = np.concatenate([turn.latencies[state] for turn in turns for state in states])
    found: Quantiles = np.quantile(latencies, QUANTILES)
    return found
