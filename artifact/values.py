"""The values that all schemas are made of: cards, reports, proofs."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Precision = Literal["fp32", "fp16", "int8", "integer", "qdq"]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Value(BaseModel):
    """A frozen record that refuses unknown fields and writes valid JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Interval:
    """A closed interval of proportions."""

    low: float
    high: float
