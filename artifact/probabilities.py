"""Whether the probabilities that a file gives are those that its logits stand for."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.contract import probabilities_of
from artifact.onnx_file import all_nodes, read_onnx
from artifact.rewriting import STEPPING

_TOLERANCE: Final = 5e-2
"""How far a probability may be from its logits', relative to the image's largest one.

Half precision rounds logits around 50 by up to 0.016: two of them that are rounded apart move the
largest probability by about 2 % of itself.
"""

_LEAST: Final = 1e-4
"""How far any may be: half precision has nothing, or next to nothing, below 6e-5."""

_STEP: Final = 2e-2
"""How much farther where a graph rounds to integers: probabilities of 8 bits move by a step or so,
of 1/255, or 1/127 where they have a sign."""


def unlike_logits(
    model: bytes,
    logits: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    *,
    multi_label: bool,
) -> str | None:
    """Return a sentence if probabilities are not those of the logits beside them.

    Audits and proofs are about logits: other probabilities would be answered, and looked at by
    nobody.

    Parameters
    ----------
    model
        The file.
    logits, probabilities : float32 [N, K]
        What it gives for a few images.
    multi_label
        Whether each class has a probability of its own.
    """
    answered = np.isfinite(logits).all(axis=1)  # others get no answer
    due = probabilities_of(logits[answered], multi_label=multi_label)
    distance = np.abs(probabilities[answered] - due)
    accepted = np.maximum(_TOLERANCE * due.max(axis=1, keepdims=True), _LEAST)
    if (distance <= accepted).all():
        return None
    if STEPPING & {node.op_type for node in all_nodes(read_onnx(model))}:
        accepted += _STEP
        if (distance <= accepted).all():
            return None
    kind = "sigmoids" if multi_label else "softmax"
    return (
        f"The file's probabilities are not the {kind} of its logits: for images of the audit set "
        f"they differ by up to {distance.max():.2g}."
    )
