"""From rounds to a table and the bars, each a ratio within a round, then the median over rounds."""

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.serving.bars import Bar
from benchmarks.shadow.rounds import CONTROL, LOADS, WITHOUT, Figure, Round

REQUIRED = 1.05
TITLES = {
    "open": "random times",
    "closed": "32 connections",
}


def table(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield the lines of a Markdown table, a row for each load and server."""
    head = ["load", "share", "requests/s", "p50 ms", "p99 ms"]
    head += ["p50, of without", "p99, of without", "tried", "dropped"]
    yield f"| {' | '.join(head)} |"
    yield "| --- " * len(head) + "|"
    for load in LOADS:
        for name in _names(rounds):
            found = [each[load, name] for each in rounds]
            tried = sum(figure.counted.trials for figure in found)
            dropped = sum(figure.counted.dropped for figure in found)
            yield (
                f"| {TITLES[load]} | {name} | {median(f.load.rate for f in found):,.0f} "
                f"| {1000 * median(f.load.p50 for f in found):.2f} "
                f"| {1000 * median(f.load.p99 for f in found):.2f} "
                f"| {_spread([a.load.p50 / b.load.p50 for a, b in _pairs(rounds, load, name)])} "
                f"| {_spread([a.load.p99 / b.load.p99 for a, b in _pairs(rounds, load, name)])} "
                f"| {tried:,.0f} | {dropped:,.0f} |"
            )


def bars(rounds: Sequence[Round]) -> Iterator[Bar]:
    """Hold each share under each load against what is required of the p99.

    A bar of a share that was never tried is not measured.
    """
    for load in LOADS:
        for name in _names(rounds):
            if name in (WITHOUT, CONTROL):
                continue
            tried = sum(each[load, name].counted.trials for each in rounds)
            ratios = [a.load.p99 / b.load.p99 for a, b in _pairs(rounds, load, name)]
            yield Bar(
                f"p99 with shadow audits, of that without (share {name}, {TITLES[load]})",
                median(ratios) if tried or load == "closed" else None,
                "at most",
                REQUIRED,
            )


def _names(rounds: Sequence[Round]) -> list[str]:
    """Without first, shares in their order."""
    names = {name for _, name in rounds[0]}
    return [WITHOUT, CONTROL, *sorted(names - {WITHOUT, CONTROL}, key=float)]


def _pairs(rounds: Sequence[Round], load: str, name: str) -> Iterator[tuple[Figure, Figure]]:
    return ((each[load, name], each[load, WITHOUT]) for each in rounds)


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})"
