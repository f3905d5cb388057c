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

Part = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Magnitude = Annotated[float, Field(ge=0)]
"""A distance, a number of images a second: what is never below 0."""


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


def _of_parts(interval: Interval) -> Interval:
    if not 0 <= interval.low <= interval.high <= 1:
        raise ValueError(f"{interval.low:g} to {interval.high:g} is no interval of parts")
    return interval


PartInterval = Annotated[Interval, AfterValidator(_of_parts)]
