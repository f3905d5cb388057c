"""Calibration: between which numbers the activations of a float32 file lie."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from artifact.contract import INPUT
from artifact.cpus import cpu_budget
from artifact.session import open_session
from audit.elements import audited_elements
from export.quantize.chain import Chain, Convolution
from export.runtime import batches

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest entry of each convolution's output, by the tensor's name."""


def measure_ranges(
    chain: Chain,
    images: NDArray[np.uint8],
    group: str,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Ranges:
    """Run a file over images and their orbits.

    The extremes are taken, and no quantile of them: on the shipped networks, clipping what is rarer
    than 1 in 10,000 moved logits more than the finer steps were worth.

    Parameters
    ----------
    images : uint8 [N, C, H, W]
        Training images.
    group
        The grid symmetries that they are rotated by; an invariant network has the same ranges for
        all of them, but for rounding.
    """
    names = [layer.output for layer in chain.layers if isinstance(layer, Convolution)]
    session = _session(chain.model, names)
    elements = audited_elements(group) if group != "trivial" else audited_elements("C4")[:1]
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    done, total = 0, len(images) * len(elements)
    for batch in batches(images):
        for element in elements:
            found = session.run(names, {INPUT: np.ascontiguousarray(element(batch))})
            low = np.minimum(low, [tensor.min() for tensor in found])
            high = np.maximum(high, [tensor.max() for tensor in found])
            done += len(batch)
            progress(done, total)
    return dict(zip(names, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _session(model: onnx.ModelProto, names: list[str]) -> Any:
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    return open_session(watched.SerializeToString(), cpu_budget())
