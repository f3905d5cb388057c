"""The values that all schemas are made of: cards, reports, proofs."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from imaging import grid_symmetries

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Precision = Literal["fp32", "fp16", "int8", "integer", "qdq"]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""How many, or which one: a number that every reader of JSON holds exactly."""


def _known_group(name: str) -> str:
    grid_symmetries(name)
    return name


Group = Annotated[str, AfterValidator(_known_group)]
"""The name of a group, as `imaging.grid_symmetries` takes it."""


class Value(BaseModel):
    """A frozen record that refuses unknown fields and writes valid JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Interval:
    """A closed interval of proportions."""

    low: float
    high: float
