"""The values that the schemas of this room share."""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from artifact.values import Magnitude, Verdict

Proportion = Annotated[float, Field(gt=0, lt=1)]
Tolerance = Magnitude
Reasons = Annotated[tuple[str, ...], Field(min_length=1)]
Bits = Annotated[float, Field(ge=0, le=53)]
"""An entropy of labels, of which there are no more than a `Count` can tell."""

CLASS_AGREEMENT: Final = 0.8
"""What is asked of each class where nothing else is; 17 images that keep their label show it."""


@dataclass(frozen=True)
class Judgement:
    """A verdict and everything that led to it, a sentence each."""

    verdict: Verdict
    reasons: tuple[str, ...]


def refuse_more_than(whole: int, **parts: int | None) -> None:
    """Raise a ``ValueError`` where there are more of a part, by its name, than there are in all."""
    for name, part in parts.items():
        if part is not None and part > whole:
            raise ValueError(f"{name} is {part}, of {whole} in all")
