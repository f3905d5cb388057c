"""Operators that end a process where a tensor has no entry, and sizes that an image decides."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import onnx
from onnx import NodeProto

from artifact.subgraphs import subgraphs
from imaging.refusal import RefusedError

_ENDING: Final = {"Attention", "InstanceNormalization", "STFT", "Unique"}
"""Operators of which onnxruntime reads, or divides by, what an empty tensor does not have."""

_SIZING: Final[dict[str, slice]] = {
    **dict.fromkeys(("ConstantOfShape", "NonMaxSuppression", "NonZero", "Range"), slice(None)),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), slice(None)),
    **dict.fromkeys(("MelWeightMatrix", "Unique"), slice(None)),
    **dict.fromkeys(("AffineGrid", "CenterCropPad", "Col2Im", "Compress", "DFT"), slice(1, None)),
    **dict.fromkeys(("Expand", "MaxUnpool", "OneHot", "Pad", "Reshape"), slice(1, None)),
    **dict.fromkeys(("Resize", "STFT", "Slice", "Split", "Squeeze", "Tile"), slice(1, None)),
    **dict.fromkeys(("TopK", "Unsqueeze", "Upsample"), slice(1, None)),
}
"""Operators whose outputs have the size that numbers in some of their inputs say; and which."""

_OF_SIZES: Final = {"Shape", "Size"}


def refuse_sizes(model: onnx.ModelProto) -> None:
    """See that no image can leave a tensor empty where that ends the process.

    Sizes that hang on pixels, as of what a mask selects, are met by whoever sends such an image.
    Those that hang on the batch are usual, as where a file reshapes N images; they are met by the
    batches that a version is tried with, which are not all.

    Raises
    ------
    RefusedError
        Naming the first node for which a size that an image decides may be 0.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    pixels = {value.name for value in model.graph.input if value.name not in stored}
    node = next(_doubtful(model.graph, pixels, set()), None)
    if node is not None:
        name = node.name or next(iter(node.output), "")
        raise RefusedError(
            f"The node {name[:80]!r} ({node.op_type}) takes a tensor whose size depends on the "
            "image: one without an entry ends the process. Sizes that are the same for all images "
            "are accepted."
        )


def _doubtful(graph: onnx.GraphProto, values: set[str], sizes: set[str]) -> Iterator[NodeProto]:
    """Yield the nodes that may end the process, in order.

    Parameters
    ----------
    values, sizes
        Names of tensors whose numbers, or whose number of entries, depend on the image, or are
        drawn. What is found is added.
    """
    for node in graph.node:
        graphs = [*subgraphs(node)]
        for each in graphs:
            inputs = {value.name for value in each.input}  # of loops, which may change both
            values |= inputs
            sizes |= inputs
            yield from _doubtful(each, values, sizes)
        decided = _is_decided(node, graphs, values, sizes)
        if node.op_type in _ENDING and (
            not sizes.isdisjoint(node.input) or (node.op_type == "STFT" and decided)
        ):
            yield node
        if decided:
            sizes.update(node.output)
        depends = node.op_type not in _OF_SIZES and _any(node.input, values)
        if decided or graphs or depends or node.op_type.startswith("Random"):
            values.update(node.output)


def _is_decided(
    node: NodeProto, graphs: Collection[onnx.GraphProto], values: set[str], sizes: set[str]
) -> bool:
    """Whether the size of what a node gives depends on the image."""
    if _any(node.input, sizes):
        return True
    if graphs:
        within = (value.name for each in graphs for value in each.output)
        return node.op_type != "If" or _any(node.input, values) or _any(within, sizes)
    if "Sequence" in node.op_type or node.op_type.startswith("Reduce"):
        return _any(node.input[1:], values)
    sizing = _SIZING.get(node.op_type)
    return sizing is not None and _any(node.input[sizing], values)


def _any(names: Iterable[str], known: set[str]) -> bool:
    return not known.isdisjoint(names)
