"""The first part of an audit: what is proved of the file, for all images at once."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from artifact.figures import Arithmetic, Outcome
from artifact.values import Value
from audit.elements import covered
from audit.exhaustive import ProvedSymmetry
from audit.proof import Proof
from imaging import GridSymmetry


class ProofSummary(Value):
    """What is proved of the file that was audited.

    Attributes
    ----------
    outcome
        As `audit.proof.Proof` has it; None where no proof was made.
    subgroup
        The grid symmetries that the outcome speaks of; empty where no proof was made.
    covers
        Whether the outputs are proved the same under every element that was tried.
    exact_bits, arithmetic
        Of the file, as `audit.proof.Proof` has them.
    runs_exactly
        Whether what runs was measured, when it was loaded, to keep every bit.
    magnifies
        Whether the file may make more of a last bit than a last bit, as by rounding to integers, so
        that nothing follows for what runs it. Not where runtimes were measured to keep every bit of
        a file whose bits are the same where they repeat themselves.
    reasons
        What the proof found, a sentence each, or why there is none.
    """

    outcome: Outcome | None
    subgroup: str = ""
    covers: bool = False
    exact_bits: bool = False
    arithmetic: Arithmetic | None = None
    runs_exactly: bool = False
    magnifies: Annotated[bool, Field(exclude_if=lambda told: not told)] = False
    reasons: tuple[str, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.outcome != "PROVED" and not self.reasons:
            raise ValueError("no reason is given why nothing is proved")
        return self

    @property
    def bounds_what_runs(self) -> bool:
        """Whether what runs can differ by no more than rounding under what was tried."""
        return self.covers and not self.magnifies

    @classmethod
    def of(
        cls, found: Proof | str, tried: Sequence[GridSymmetry], *, runs_exactly: bool = False
    ) -> "ProofSummary":
        """Say what a proof means for an audit of these elements; a sentence says why there is none.

        `runs_exactly` says whether what runs was measured to keep every bit where the file does.
        """
        if isinstance(found, str):
            return cls(outcome=None, reasons=(found,))
        return cls(
            outcome=found.outcome,
            subgroup=found.subgroup,
            covers=found.outcome == "PROVED" and covered(tried, found.subgroup),
            exact_bits=found.exact_bits,
            arithmetic=found.arithmetic,
            runs_exactly=runs_exactly,
            magnifies=_magnifies(found, runs_exactly=runs_exactly),
            reasons=found.reasons,
        )

    def quarters(self, tolerance: float) -> ProvedSymmetry | None:
        """What is proved of quarter turns, and how far, at most, they move a logit of what runs."""
        if self.outcome != "PROVED" or self.magnifies:
            return None
        if not covered((GridSymmetry(False, 1),), self.subgroup):
            return None
        return ProvedSymmetry(rounding=0.0 if self.exact_bits and self.runs_exactly else tolerance)

    def sentence(self) -> str:
        """What is proved, in one sentence."""
        if self.outcome is None:
            return f"Nothing is proved of the file: {self.reasons[0]}"
        if self.outcome != "PROVED":
            return f"The file is {self.outcome} over {self.subgroup}: {self.reasons[0]}"
        how = "in every bit" if self.exact_bits else "in real arithmetic"
        return (
            f"The file is PROVED over {self.subgroup}: whatever the image, its outputs are the "
            f"same for the image rotated, {how}."
        )


def _magnifies(found: Proof, *, runs_exactly: bool) -> bool:
    if any(step.effect == "saturating" for step in found.steps):
        return True
    settled = runs_exactly and found.arithmetic in ("integer", "quantised", "repeated")
    return not settled and (bool(found.steps) or found.disordered is not None)
