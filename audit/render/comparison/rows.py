"""What a comparison measured, under the names that its readers see."""

from collections.abc import Iterator

from audit.comparison import ClassPaired, Comparison, Paired
from audit.render.language import Words

Row = tuple[str, Paired]


def measured(comparison: Comparison, words: Words) -> Iterator[Row]:
    """Yield what was counted over all units."""
    yield words("label kept when rotated"), comparison.kept
    if comparison.correct is not None:
        yield words("right label"), comparison.correct
    yield words("logits within the tolerance"), comparison.steady


def measured_of_class(each: ClassPaired, words: Words) -> Iterator[Row]:
    """Yield what was counted over the units of a class."""
    yield words("label kept when rotated"), each.kept
    if each.correct is not None:
        yield words("right label"), each.correct


def counted(comparison: Comparison, words: Words) -> str:
    """How many there are of what is counted."""
    matching = comparison.matching
    if matching.units == matching.images:
        return words("{count} images", count=matching.images)
    return words("{units} units of {images} images", units=matching.units, images=matching.images)
