"""Which files may do another thing for each number of images in a batch."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from artifact.onnx_file import all_nodes

_TELLING: Final = {"SequenceLength", "Shape", "Size"}
_BOUNDS: Final = ("starts", "ends")

MOST: Final = 64
"""The largest batch, where nothing else is said."""

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images uint8 ``[N, C, H, W]`` to ``[N, K]``."""


def buckets(most: int) -> list[int]:
    """Return the batch sizes that are tried: powers of two, and the largest."""
    return [*(2**power for power in range((most - 1).bit_length())), most]


def tried_sizes(data: bytes, most: int = MOST) -> list[int]:
    """Return the sizes of batches that a file is to be tried with, and no others run; [] if all."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        return []  # it will not open
    return buckets(most) if hangs_on_batch(model) else []


def cut_into(images: NDArray[np.uint8], sizes: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Cut a batch into as few of these sizes, of which one is 1; leave it whole if there are none.

    Parameters
    ----------
    images : uint8 [N, C, H, W]
        One or more.
    """
    parts, place = [], 0
    while place < len(images):
        left = len(images) - place
        size = max((size for size in sizes if size <= left), default=left)
        parts.append(images[place : place + size])
        place += size
    return parts


def in_sizes(classify: Classify, sizes: Sequence[int]) -> Classify:
    """Return what classifies in batches of these sizes; as it is if there are none."""
    if not sizes:
        return classify
    return lambda images: np.concatenate([classify(part) for part in cut_into(images, sizes)])


def hangs_on_batch(model: onnx.ModelProto) -> bool:
    """Whether a file may behave otherwise for some number of images than for one fewer and more.

    A file that asks for the size of a tensor can compute anything of it: of six images it may take
    a part that has no entries, on which onnxruntime reads beyond their end. So can one that cuts
    from the third last to the third, which leaves something of four and nothing of six. What
    neither asks nor cuts so has tensors that grow with the batch, or stay as they are.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer if not tensor.external_data}
    for node in model.graph.node:
        if node.op_type == "Constant" and [each.name for each in node.attribute] == ["value"]:
            stored[node.output[0]] = node.attribute[0].t
    outside = sum(node.op_type == "Slice" for node in model.graph.node)
    nodes = [node.op_type for node in all_nodes(model)]
    return (
        not _TELLING.isdisjoint(nodes)
        or nodes.count("Slice") > outside  # what it is given may have another meaning within
        or any(node.op_type == "Slice" and _narrows(node, stored) for node in model.graph.node)
    )


def _narrows(node: NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    """Whether a Slice may leave less of what is longer: from the end to a place, or the reverse."""
    given = {attribute.name: np.array(attribute.ints) for attribute in node.attribute}
    try:
        bounds = [
            given[name] if given else numpy_helper.to_array(stored[node.input[place]])
            for place, name in enumerate(_BOUNDS, start=1)
        ]
    except (LookupError, TypeError, ValueError):  # computed, or none: then it will not open
        return True
    starts, ends = (each.reshape(-1) < 0 for each in bounds)
    return not np.array_equal(starts, ends)
