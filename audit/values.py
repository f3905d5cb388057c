"""The values that all schemas of this room are made of."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Precision = Literal["fp32", "fp16", "int8", "integer"]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Proportion = Annotated[float, Field(gt=0, lt=1)]
Tolerance = Annotated[float, Field(ge=0)]


CLASS_AGREEMENT: Final = 0.8
"""What is asked of each class where nothing else is; 17 images that keep their label show it."""


class Value(BaseModel):
    """A frozen record that refuses unknown fields and writes valid JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Judgement:
    """A verdict and everything that led to it, a sentence each."""

    verdict: Verdict
    reasons: tuple[str, ...]
