"""What a card claims about its file, proved again from the bytes and measured on what runs here."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from artifact.card import Card
from artifact.contract import LOGITS
from artifact.figures import Arithmetic, Exactness, Residual
from artifact.halves import holds_halves
from artifact.onnx_file import read_onnx
from artifact.rewriting import rewritten, two_or_more
from artifact.session import run_both_ways
from audit import Classifier, Stages, measure_exactness
from audit.elements import covered
from audit.exactness import exactness_classifications
from audit.proof import Limits, Proof
from audit.proving import prove_file
from imaging import grid_symmetries
from imaging.refusal import RefusedError
from service.settings import ProofMode

_IMAGES, _FEW = 64, 8  # measured of a card that claims every bit, and of another
"""As many as the largest batch that exactness is tried with; they come from all over the set."""

_FEWEST: Final = 2
_SECONDS, _QUICKLY = 20.0, 5.0  # of a card that claims every bit, and of another
"""After which fewer images than that are measured; of no time that is left more than a third."""

_PART: Final = 0.9
"""Of the time that is left, how much the proof may take: it looks at the clock now and then."""

_ROUNDED: Final = 0.01
"""By how much of itself a bound may exceed a card's: it is computed in floats, and loose."""

_STRENGTH: Final = {"NOT PROVED": 0, "PROVED WITHIN": 1, "PROVED": 2}


class Verification(BaseModel):
    """The outcome for one version."""

    model_config = ConfigDict(frozen=True)

    mode: ProofMode
    """`off`: nothing was recomputed; `enforce`: a version with differences is not served."""
    proof: Proof | None
    """From the bytes that were loaded."""
    unproved: str | None = None
    """Why there is no proof, where one was tried and ended at a limit or an error."""
    exactness: Exactness | None
    """Of the graph that the runtime made of them, with the provider and options in use."""
    differences: tuple[str, ...]
    """What the card claims and this does not show, a sentence each."""
    rewritten: str | None = None
    """That the runtime makes another function of the file, so that a proof is not of what runs."""
    measured: str | None = None
    """When, in UTC, if that was at an earlier start of the service."""


def verify(
    card: Card,
    graph: bytes,
    classify: Classifier,
    images: npt.NDArray[np.uint8],
    runtime: str,
    mode: ProofMode,
    limits: Limits,
    until: float = math.inf,
    progress: Stages = lambda *_: None,
) -> Verification:
    """Recompute a card's claims.

    A proof that ends at a limit, or at an error, is a difference: it is not known what is so.

    Parameters
    ----------
    graph
        The file model.onnx.
    classify
        Runs it as requests will.
    images : uint8 [N, C, H, W]
        The audit set; at most 64 of them are used, and 8 if the card does not claim every bit. A
        slow network is shown fewer, two at least; the outcome says how many.
    runtime
        Names what runs it, for the record.
    limits
        Of the proof.
    until
        Point of `time.monotonic` by which all has to be done; the proof ends before it.
    progress
        Called with what is being done, how much of it is done, and how much there is.
    """
    if mode == "off":
        return Verification(mode=mode, proof=None, exactness=None, differences=())
    exact = card.exactness is not None and card.exactness.exact
    began = time.monotonic()
    classify(np.ascontiguousarray(images[:1]))
    count = affordable(
        min(_IMAGES if exact else _FEW, len(images)),
        card.group,
        time.monotonic() - began,
        min(_SECONDS if exact else _QUICKLY, (until - began) / 3),
    )
    exactness = measure_exactness(
        [(runtime, classify)],
        np.ascontiguousarray(images[:: -(-len(images) // count)]),
        card.group,
        progress=lambda done, total: progress("measuring", done, total),
    )
    few = two_or_more(images[:2])
    changed = rewritten(graph, few, classify(few))
    progress("proving", 0, 1)
    left = _PART * (until - time.monotonic())
    limits = replace(limits, seconds=min(limits.seconds, max(left, 0.0)))
    proof, unproved = _prove(graph, card.audit.group, limits)
    differences = (
        *_unheld(card, graph),
        *_unshown(card, proof, unproved),
        *_inexact(card, exactness),
        *([changed] if changed else []),
    )
    return Verification(
        mode=mode,
        proof=proof,
        unproved=unproved,
        exactness=exactness,
        differences=differences,
        rewritten=changed,
    )


def affordable(most: int, group: str, seconds: float, time_for_it: float) -> int:
    """How many images exactness is measured on, where one of them takes so many seconds."""
    for count in range(most, _FEWEST, -1):
        if exactness_classifications(count, group, sessions=1) * seconds <= time_for_it:
            return count
    return min(most, _FEWEST)


def _prove(graph: bytes, group: str, limits: Limits) -> tuple[Proof | None, str | None]:
    try:
        return prove_file(graph, group, runtime=run_both_ways, limits=limits), None
    except RefusedError as error:
        return None, str(error)


def _unheld(card: Card, graph: bytes) -> Iterator[str]:
    """Name a precision whose tolerance, a hundred times as large, the file has no part in."""
    if card.precision == "fp16" and not holds_halves(read_onnx(graph), LOGITS):
        yield "The card says fp16, and its file holds no number of half precision."


def _unshown(card: Card, proof: Proof | None, unproved: str | None) -> Iterator[str]:
    claim = card.proof
    if not covered(grid_symmetries(card.group), card.audit.group):
        yield f"The card says {card.group}, and that {card.audit.group} was audited and is proved."
    if unproved is not None:
        yield unproved
    elif claim is not None and proof is not None:
        if _STRENGTH[proof.outcome] < _STRENGTH[claim.outcome]:
            yield f"The card says {claim.outcome} and its file is {proof.outcome}."
        elif claim.outcome != "NOT PROVED" and not covered(
            grid_symmetries(claim.subgroup), proof.subgroup
        ):
            said, found = claim.subgroup, proof.subgroup
            yield f"The card says {claim.outcome} over {said}; it is over {found}."
        elif claim.exact_bits and not proof.exact_bits:
            yield "The card says that outputs are proved the same in every bit, and they are not."
        elif not _as_exact(claim.arithmetic, proof.arithmetic):
            yield f"The card says that sums are {claim.arithmetic}; they are {proof.arithmetic}."
        elif claim.residual and proof.residual:
            here, there = proof.residual.relative, claim.residual.relative
            if here > there:
                yield f"The card says that parameters tie within {there:.2g}; it is {here:.2g}."
            yield from _beyond(claim.residual, proof.residual)


def _as_exact(said: Arithmetic | None, found: Arithmetic | None) -> bool:
    """Whether bits repeat under the condition that a card names: under none, where integers add."""
    return said in (None, "float", found) or found == "integer"


def _beyond(claim: Residual, found: Residual) -> Iterator[str]:
    """Name outputs that may change by more than a card says, but for how the sum was rounded."""
    for name, deviation in found.deviation.items():
        said = claim.deviation.get(name, 0.0)
        if deviation > said * (1 + _ROUNDED):
            more = f"it is {deviation:.2g}"
            yield f"The card says that '{name}' changes by at most {said:.2g}; {more}."


def _inexact(card: Card, exactness: Exactness) -> Iterator[str]:
    if card.exactness is None or not card.exactness.exact:
        return
    more = [each for each in card.exactness.elements if each not in exactness.elements]
    if more:
        yield f"The card says that {more[0]} changes no bit, and {card.group} does not have it."
    sizes = [str(size) for size in card.exactness.batch_sizes if size not in exactness.batch_sizes]
    if sizes:
        tried = ", ".join(map(str, exactness.batch_sizes))
        yield (
            f"The card says that batches of {sizes[0]} change no bit, and those of {tried} are "
            "what is tried here."
        )
    if not exactness.exact:
        yield (
            "The card says that logits are the same in every bit, and here they change by up to "
            f"{exactness.max_logit_deviation:.2g} when images are rotated or come in other batches."
        )
