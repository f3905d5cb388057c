"""The audit's self-tests on every model that ships: what they say of known models.

Run ``python -m benchmarks.selftests``; ``python -m benchmarks.coverage`` prints them too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from artifact.audit_set import load_audit_set
from artifact.card import Card, load_card
from artifact.layout import AUDIT_FILE, MODEL_FILE
from audit import (
    AnglePlan,
    AngleThresholds,
    Thresholds,
    self_test,
)
from audit.angles.selftest import self_test_angles
from audit.selftest import self_test_unseen
from export.runtime import open_model
from imaging import Resampler

REPOSITORY: Final = Path("model_repository")
HEADINGS: Final = (
    "model",
    "one weight changed",
    "told up from down",
    "bright from dark",
    "at angles: told up from down",
    "bright from dark",
    "quarter turns",
)


def main() -> None:
    """Print a Markdown table, a line a model."""
    for line in lines(REPOSITORY):
        print(line, flush=True)


def lines(repository: Path) -> Iterator[str]:
    """Yield the lines of the table: a FAIL of a mutant is right, of the other wrong."""
    yield _row(HEADINGS)
    yield _row(["---"] * len(HEADINGS))
    for path in sorted(repository.glob("*/*/card.json")):
        yield _row(tested(path.parent, load_card(path)))


def tested(folder: Path, card: Card) -> tuple[str, ...]:
    """Try the audits on the model of a version's folder with its own audit set."""
    graph = (folder / MODEL_FILE).read_bytes()
    images = load_audit_set(folder / AUDIT_FILE).images
    thresholds, group = Thresholds.of(card.precision), card.audit.group
    classify = open_model(graph)
    of_file = self_test(graph, open_model, images, group=group, thresholds=thresholds)
    unseen = self_test_unseen(classify, images, group=group, thresholds=thresholds)
    plan = AnglePlan(resampler=Resampler("bilinear", card.input.fit.fill))
    rotated = self_test_angles(classify, images, plan, AngleThresholds())
    return (
        f"`{card.name}`, {group}",
        of_file.mutant,
        unseen.mutant,
        of_file.known_invariant,
        rotated.mutant,
        rotated.known_invariant,
        "exact" if rotated.quarters_exact else "NOT exact",
    )


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
