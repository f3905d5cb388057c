"""The proof of a file of which nothing is known: an outcome, or one sentence."""

from typing import Final

from audit.proof import TOLERANCE, Limits, Proof, Runtime, prove
from audit.proof.limits import DEFAULT_LIMITS, MEBIBYTE, ProofLimitError
from audit.proof.proof import give_up
from audit.proved import ProofSummary
from imaging import grid_symmetries
from imaging.refusal import RefusedError

_LONGEST = 200

UNATTENDED: Final = Limits(seconds=900.0, memory=6144 * MEBIBYTE)
"""What a proof may take that is made once, while nobody is served."""


class ProofFailedError(RefusedError):
    """The proof stopped at an error of its own; the file may be invariant or not."""


def prove_file(
    model: bytes,
    group: str | None,
    *,
    tolerance: float = TOLERANCE,
    runtime: Runtime,
    limits: Limits = DEFAULT_LIMITS,
) -> Proof:
    """Prove as `audit.proof.prove` does, whatever the bytes are.

    Raises
    ------
    RefusedError
        In one sentence: as `prove`; a `ProofLimitError` past a limit; a `ProofFailedError` if the
        file was made, or happens, to break the proof itself.
    """
    try:
        return prove(model, group, tolerance=tolerance, runtime=runtime, limits=limits)
    except RefusedError:
        raise
    except Exception as error:
        raise _failed(error) from error


def prove_or_give_up(
    model: bytes, group: str, *, runtime: Runtime, limits: Limits = UNATTENDED
) -> Proof:
    """Prove as `prove_file` does; a file that takes more than the limits is one that is not proved.

    Its proof says why, and its outcome is `NOT PROVED`.
    """
    try:
        return prove_file(model, group, runtime=runtime, limits=limits)
    except (ProofLimitError, ProofFailedError) as error:
        return give_up(model, group, str(error).partition(";")[0].rstrip("."))


def summarise_proof(
    model: bytes,
    group: str,
    *,
    runtime: Runtime,
    limits: Limits = DEFAULT_LIMITS,
    runs_exactly: bool = False,
) -> ProofSummary:
    """Prove a file for an audit of a group; where no proof can be made, the summary says why.

    `runs_exactly` says whether what runs was measured to keep every bit where the file does.
    """
    tried = grid_symmetries(group)
    try:
        found = prove_file(model, group, runtime=runtime, limits=limits)
    except RefusedError as error:
        return ProofSummary.of(str(error), tried)
    return ProofSummary.of(found, tried, runs_exactly=runs_exactly)


def _failed(error: Exception) -> ProofFailedError:
    lines = str(error).strip().splitlines()
    reason = ": ".join([type(error).__name__, *lines[:1]])[:_LONGEST].rstrip(".")
    return ProofFailedError(
        f"The proof stopped at an error of its own ({reason}), and shows nothing of this file."
    )
