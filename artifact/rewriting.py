"""Whether a runtime computes what a file says: it rewrites a graph before it runs it."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.contract import INPUT, LOGITS
from artifact.deviation import largest_logit, relative
from artifact.session import open_session
from artifact.values import Precision

TOLERANCE: Final[Mapping[Precision, float]] = {
    "fp32": 1e-2,
    "fp16": 1e-2,
    "int8": 1e-1,
    "integer": 1e-1,
    "qdq": 1e-1,
}
"""How far a logit may be from that of the file, relative to the largest one.

Sums in another order move logits of float32 by about 1e-6, those of TF32 or half precision by about
1e-3, and where integers are rounded by whole steps of a quantisation.
"""


def rewritten(
    model: bytes, images: NDArray[np.uint8], logits: NDArray[np.float32], precision: Precision
) -> str | None:
    """Return a sentence if logits are others than those of the file, run as it is written.

    Parameters
    ----------
    model
        The file, which takes and gives what `artifact.contract` says. It is run node by node, on
        the CPU, with nothing optimised.
    images : uint8 [N, C, H, W]
        A few: what computes another function does so for nearly every image.
    logits : float32 [N, K]
        What the runtime gives for them as requests run it.
    """
    try:
        session = open_session(model, threads=1, quiet=True, as_written=True)
        written: NDArray[np.float32] = session.run([LOGITS], {INPUT: images})[0]
    except Exception as error:  # those of onnxruntime share no base class
        reason = str(error).strip().partition("\n")[0]
        return f"The file does not run node by node, with nothing optimised: {reason}"
    moved = _deviation(logits, written)
    if moved <= TOLERANCE[precision]:
        return None
    return (
        f"The runtime rewrites the graph before it runs it, and logits are then others than the "
        f"file's own, run node by node: they differ by up to {moved:.2g} of the largest."
    )


def _deviation(found: NDArray[np.float32], written: NDArray[np.float32]) -> float:
    """Return the largest difference, relative to the largest finite logit; NaN if one is none."""
    other = ~((found == written) | (np.isnan(found) & np.isnan(written)))
    distance = np.abs(found[other].astype(np.float64) - written[other]).max(initial=0.0)
    finite = written[np.isfinite(written)]
    return relative(float(distance), largest_logit(finite) if finite.size else 0.0)
