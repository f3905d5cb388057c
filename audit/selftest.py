"""Try the audit on a model that must fail and on one that must not, before it is believed."""

from collections.abc import Callable, Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from audit.audit_set import AuditSet
from audit.figures import noise_floor, orbit_figures
from audit.orbit import Classifier, evaluate_orbit, symmetrise
from audit.procedure import audited_elements
from audit.report import SelfTest, Thresholds, Verdict
from audit.verdict import judge

# The twin asks the model once more for every element, so the self-test uses few images: about half
# as many questions as an audit of 512 images.
_IMAGES = 32


def self_test(
    model: bytes,
    build: Callable[[bytes], Classifier],
    images: NDArray[np.uint8],
    *,
    group: str,
    thresholds: Thresholds,
    batch_size: int = 64,
) -> SelfTest:
    """Audit the model with one weight changed, and the model averaged over the group.

    Parameters
    ----------
    model
        The ONNX file.
    build
        From the bytes of an ONNX file to a classifier.
    images : uint8 [N, C, H, W]
        The images of the audit; at most 32 of them, from all over the set, are used.
    group, thresholds, batch_size
        As for `run_audit`.

    Raises
    ------
    ValueError
        If no mutant can be made of the model, or `run_audit` would refuse the images or the group.
    """
    elements = audited_elements(group)
    few = AuditSet(images).images[:: -(-len(images) // _IMAGES)]

    def verdict(classify: Classifier) -> Verdict:
        orbit = evaluate_orbit(classify, few, elements, batch_size=batch_size)
        figures = orbit_figures(orbit, None, thresholds.confidence)
        return judge(figures, noise_floor(orbit), thresholds, None).verdict

    twin = symmetrise(build(model), elements)
    return SelfTest(images=len(few), mutant=verdict(build(mutate(model))), twin=verdict(twin))


def mutate(model: bytes) -> bytes:
    """Change the sign of one weight of the first convolution, and nothing else.

    It is the largest weight that is not in the middle of its kernel: rotations leave the middle in
    its place, so a kernel that is changed there can still be symmetric.

    Raises
    ------
    ValueError
        If no convolution has a stored kernel of more than one pixel with a weight other than zero.
    """
    proto = onnx.load_model_from_string(model)
    for kernel in _stored_kernels(proto.graph):
        weights = numpy_helper.to_array(kernel).copy()
        magnitudes = np.abs(weights)
        magnitudes[_middle(weights.shape)] = 0
        if magnitudes.any():
            largest = np.unravel_index(magnitudes.argmax(), weights.shape)
            weights[largest] = -weights[largest]
            _store(kernel, weights)
            return bytes(proto.SerializeToString())
    raise ValueError(
        "The model cannot be mutated for the self-test; one with a Conv node whose kernel is an "
        "initialiser of more than one pixel is accepted."
    )


def _stored_kernels(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    initialisers = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in initialisers:
            yield initialisers[node.input[1]]


def _middle(shape: tuple[int, ...]) -> tuple[slice | int, ...]:
    """Where the pixel in the middle of the kernels [out, in, ...] is; nowhere if a side is even."""
    if any(side % 2 == 0 for side in shape[2:]):
        return (slice(0),)
    return (slice(None), slice(None), *(side // 2 for side in shape[2:]))


def _store(tensor: onnx.TensorProto, array: NDArray[np.generic]) -> None:
    for field in ("float_data", "double_data", "int32_data"):
        tensor.ClearField(field)
    tensor.raw_data = numpy_helper.from_array(array).raw_data
