"""What a comparison measured, under the names that its readers see."""

from collections.abc import Iterator

from audit.comparison import ClassPaired, ComparedAudit, Comparison, Paired

KEPT, RIGHT, STEADY = "label kept when turned", "right label", "logits within the tolerance"


def measured(comparison: Comparison) -> Iterator[tuple[str, Paired]]:
    """Yield what was counted over all units."""
    yield KEPT, comparison.kept
    if comparison.correct is not None:
        yield RIGHT, comparison.correct
    yield STEADY, comparison.steady


def measured_of_class(each: ClassPaired) -> Iterator[tuple[str, Paired]]:
    """Yield what was counted over the units of a class."""
    yield KEPT, each.kept
    if each.correct is not None:
        yield RIGHT, each.correct


def named(audit: ComparedAudit) -> str:
    """A model as a heading names it."""
    return f"{audit.model.name} version {audit.model.version}"


def counted(comparison: Comparison) -> str:
    """How many there are of what is counted."""
    matching = comparison.matching
    unit = "images" if matching.units == matching.images else f"units of {matching.images} images"
    return f"{matching.units} {unit}"
