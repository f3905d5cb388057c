"""The table of all cases."""

from collections.abc import Iterator

from benchmarks.verdicts.broken import broken
from benchmarks.verdicts.case import Case, verdict
from benchmarks.verdicts.models import heavier_below, levels, models, upright_lines
from benchmarks.verdicts.shipped import shipped


def cases() -> Iterator[Case]:
    """Yield all of them: models, models that ship, audits."""
    yield from models()
    yield from shipped()
    yield from broken(levels(4), heavier_below, upright_lines)


def main() -> None:
    """Print the table; status 1 if a verdict is wrong."""
    wrong = 0
    print("| model under test | right | found |\n| --- | --- | --- |")
    for case in cases():
        found = verdict(case)
        wrong += found != case.due
        mark = "" if found == case.due else " (WRONG)"
        print(f"| {case.name} | {case.due} | {found}{mark} |", flush=True)
    raise SystemExit(1 if wrong else 0)
