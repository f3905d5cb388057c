"""The values that the schemas of this room share."""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from artifact.values import Verdict

Proportion = Annotated[float, Field(gt=0, lt=1)]
Tolerance = Annotated[float, Field(ge=0)]

CLASS_AGREEMENT: Final = 0.8
"""What is asked of each class where nothing else is; 17 images that keep their label show it."""


@dataclass(frozen=True)
class Judgement:
    """A verdict and everything that led to it, a sentence each."""

    verdict: Verdict
    reasons: tuple[str, ...]
