"""Whether a runtime computes what a file says: it rewrites a graph before it runs it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.contract import INPUT, LOGITS
from artifact.deviation import largest_logit, relative
from artifact.onnx_file import all_nodes, read_onnx
from artifact.session import open_session

_TOLERANCE: Final = 1e-2
"""How far a logit may be from that of the file, relative to the largest one.

Sums in another order move logits of float32 by about 1e-6, those of TF32 or half precision by about
1e-3.
"""

STEPPING: Final = {"Ceil", "DynamicQuantizeLinear", "Floor", "QuantizeLinear", "Round"}
"""Operators that round to integers."""

_OF_STEPS: Final = 1e-1
"""Where a graph rounds to integers, a last bit may become a whole step of them."""


def two_or_more(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the images, or the one that there is and its negative: some files take one for all.

    Parameters
    ----------
    images : uint8 [N, C, H, W]
        One or more.
    """
    return np.concatenate([images, ~images]) if len(images) == 1 else np.ascontiguousarray(images)


def rewritten(
    model: bytes,
    images: NDArray[np.uint8],
    logits: NDArray[np.float32],
    ends: tuple[str, str] = (INPUT, LOGITS),
) -> str | None:
    """Return a sentence if logits are others than those of the file, run as it is written.

    Of a file that draws random numbers nothing can be said.

    Parameters
    ----------
    model
        The file, which is run node by node, on the CPU, with nothing optimised.
    images : uint8 [N, C, H, W]
        A few, and not one alone: what computes another function does so for nearly every image.
    logits : float32 [N, K]
        What the runtime gives for them as requests run it.
    ends
        The names of the file's input and of its logits.
    """
    try:
        session = open_session(model, threads=1, quiet=True, as_written=True)
        written: NDArray[np.float32] = session.run([ends[1]], {ends[0]: images})[0]
    except Exception as error:  # those of onnxruntime share no base class
        reason = str(error).strip().partition("\n")[0]
        return f"The file does not run node by node, with nothing optimised: {reason}"
    if logits.shape != written.shape:
        return (
            "The runtime rewrites the graph before it runs it, and gives logits in the shape "
            f"{list(logits.shape)} where the file's own, run node by node, have "
            f"{list(written.shape)}."
        )
    moved = _deviation(logits, written)
    kinds = {node.op_type for node in all_nodes(read_onnx(model))}
    if moved <= (_OF_STEPS if kinds & STEPPING else _TOLERANCE):
        return None
    if not np.array_equal(session.run([ends[1]], {ends[0]: images})[0], written, equal_nan=True):
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
