"""Try the audit on a model that must fail and on one that must not, before it is believed."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from artifact.audit_set import AuditSet
from artifact.values import Verdict
from audit.angles.selftest import brightness, with_orientation_bias
from audit.elements import audited_elements
from audit.figures import noise_floor, orbit_figures
from audit.orbit import Classifier, Progress, evaluate_orbit, orbit_classifications
from audit.report import Mutation, SelfTest
from audit.thresholds import Thresholds
from audit.verdict import judge
from imaging import GridSymmetry
from imaging.refusal import RefusedError

_IMAGES = 32


def self_test(
    model: bytes,
    build: Callable[[bytes], Classifier],
    images: NDArray[np.uint8],
    *,
    group: str,
    thresholds: Thresholds,
    batch_size: int = 64,
    multi_label: bool = False,
    progress: Progress | None = None,
) -> SelfTest:
    """Audit the model with one weight changed, and a known model that is invariant.

    A model without such a weight is tried as one whose file is not at hand.

    Parameters
    ----------
    model
        The ONNX file.
    build
        From the bytes of an ONNX file to a classifier.
    images : uint8 [N, C, H, W]
        The images of the audit; at most 32 of them, from all over the set, are used.
    group, thresholds, batch_size, multi_label, progress
        As for `run_audit`; whether the model may give an image several labels.

    Raises
    ------
    ValueError
        If `run_audit` would refuse the images or the group.
    """
    try:
        mutant = build(mutate(model))
    except RefusedError:
        return self_test_unseen(
            build(model),
            images,
            group=group,
            thresholds=thresholds,
            batch_size=batch_size,
            multi_label=multi_label,
            progress=progress,
        )
    return _tried(
        mutant, "one weight changed", images, group, thresholds, batch_size, multi_label, progress
    )


def self_test_unseen(
    classify: Classifier,
    images: NDArray[np.uint8],
    *,
    group: str,
    thresholds: Thresholds,
    batch_size: int = 64,
    multi_label: bool = False,
    progress: Progress | None = None,
) -> SelfTest:
    """Audit a model whose file is not at hand, told up from down, and one that is invariant.

    The mutant is made around the model, so this shows that the audit sees answers that depend
    on orientation, and nothing about a file. The arguments are those of `self_test`.
    """
    # A group of mirror images alone keeps up and down.
    axis = -2 if GridSymmetry(False, 2) in audited_elements(group) else -1
    mutant = with_orientation_bias(classify, axis)
    return _tried(
        mutant, "told up from down", images, group, thresholds, batch_size, multi_label, progress
    )


def _tried(
    mutant: Classifier,
    mutation: Mutation,
    images: NDArray[np.uint8],
    group: str,
    thresholds: Thresholds,
    batch_size: int,
    multi_label: bool,
    progress: Progress | None,
) -> SelfTest:
    elements = audited_elements(group)
    few = AuditSet(images).images[_few(len(images))]

    def verdict(classify: Classifier, progress: Progress | None = None) -> Verdict:
        orbit = evaluate_orbit(
            classify,
            few,
            elements,
            batch_size=batch_size,
            multi_label=multi_label,
            progress=progress,
        )
        figures = orbit_figures(orbit, None, thresholds)
        return judge(figures, noise_floor(orbit, thresholds.confidence), thresholds, None).verdict

    return SelfTest(
        images=len(few),
        mutation=mutation,
        mutant=verdict(mutant, progress),
        known_invariant=verdict(brightness(few)),
    )


def self_test_classifications(count: int, elements: int, batch_size: int = 64) -> int:
    """How many images `self_test` has classified, of so many images under so many elements.

    It is the mutant that is asked; the known model asks nobody.
    """
    return orbit_classifications(len(range(count)[_few(count)]), elements, batch_size)


def mutate(model: bytes) -> bytes:
    """Change the sign of one weight of the first convolution, and nothing else.

    It is the largest weight that is not in the middle of its kernel: rotations leave the middle in
    its place, so a kernel that is changed there can still be symmetric. Weights may be floats,
    integers, or integers that are dequantised first.

    Raises
    ------
    ValueError
        If no convolution has a stored kernel of more than one pixel with a weight other than zero.
    """
    proto = onnx.load_model_from_string(model)
    for kernel, zeros in _stored_kernels(proto.graph):
        weights = numpy_helper.to_array(kernel).copy()
        zero = zeros.reshape(-1, *[1] * (weights.ndim - 1))
        signed = weights - zero.astype(np.float64)
        magnitudes = np.abs(signed)
        magnitudes[_middle(weights.shape)] = 0
        if magnitudes.any():
            largest = np.unravel_index(magnitudes.argmax(), weights.shape)
            mirrored = weights[largest] - 2 * signed[largest]
            if weights.dtype.kind in "iu":
                limits = np.iinfo(weights.dtype)
                mirrored = np.clip(mirrored, limits.min, limits.max)
            weights[largest] = mirrored
            _store(_own_copy(proto.graph, kernel), weights)
            return bytes(proto.SerializeToString())
    raise RefusedError(
        "The model cannot be mutated for the self-test; one with a convolution whose kernel is an "
        "initialiser of more than one pixel is accepted."
    )


def _few(count: int) -> slice:
    return slice(None, None, -(-count // _IMAGES))


_KERNELS: Final = {"Conv": (1, None), "ConvInteger": (1, 3), "QLinearConv": (3, 5)}
"""By operator: which inputs are the kernel and its zero point."""


def _stored_kernels(
    graph: onnx.GraphProto,
) -> Iterator[tuple[onnx.TensorProto, NDArray[np.generic]]]:
    """Yield the kernels of all convolutions, each with its zero point: one, or one a filter."""
    initialisers = {tensor.name: tensor for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type not in _KERNELS:
            continue
        place, zero_place = _KERNELS[node.op_type]
        source = producers.get(node.input[place])
        if source is not None and source.op_type == "DequantizeLinear":
            node, place, zero_place = source, 0, 2
        if node.input[place] in initialisers:
            has_zero = zero_place is not None and zero_place < len(node.input)
            zero = initialisers.get(node.input[zero_place]) if has_zero else None
            zeros = np.zeros(()) if zero is None else numpy_helper.to_array(zero)
            yield initialisers[node.input[place]], zeros


def _own_copy(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return a copy that only the first of the nodes reads that read a stored tensor.

    A file that averages over a group reads its kernels once for each element, and a change that
    all of them share would leave it invariant.
    """
    readers = [node for node in graph.node if tensor.name in node.input]
    if len(readers) == 1:
        return tensor
    copy: onnx.TensorProto = graph.initializer.add()
    copy.CopyFrom(tensor)
    copy.name = f"{tensor.name}.mutant"
    readers[0].input[:] = [copy.name if n == tensor.name else n for n in readers[0].input]
    return copy


def _middle(shape: tuple[int, ...]) -> tuple[slice | int, ...]:
    """Where the pixel in the middle of the kernels [out, in, ...] is; nowhere if a side is even."""
    if any(side % 2 == 0 for side in shape[2:]):
        return (slice(0),)
    return (slice(None), slice(None), *(side // 2 for side in shape[2:]))


def _store(tensor: onnx.TensorProto, array: NDArray[np.generic]) -> None:
    for field in ("float_data", "double_data", "int32_data"):
        tensor.ClearField(field)
    tensor.raw_data = numpy_helper.from_array(array).raw_data
