"""Sizes of tensors, and numbers of rounds of loops, that an image decides."""

from collections.abc import Iterator
from typing import Final

import onnx
from onnx import GraphProto, NodeProto

from artifact.subgraphs import subgraphs
from imaging.refusal import RefusedError

_SIZING: Final[dict[str, slice]] = {
    **dict.fromkeys(("ConstantOfShape", "NonMaxSuppression", "NonZero", "Range"), slice(None)),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), slice(None)),
    **dict.fromkeys(("ImageDecoder", "MelWeightMatrix", "Unique"), slice(None)),
    **dict.fromkeys(("StringNormalizer", "StringSplit"), slice(None)),
    **dict.fromkeys(("AffineGrid", "CenterCropPad", "Col2Im", "Compress", "DFT"), slice(1, None)),
    **dict.fromkeys(("Expand", "Reshape", "Resize", "STFT", "Slice", "Split"), slice(1, None)),
    **dict.fromkeys(("Squeeze", "Tile", "TopK", "Unsqueeze", "Upsample"), slice(1, None)),
    **dict.fromkeys(("SequenceAt", "SequenceErase", "SplitToSequence"), slice(1, None)),
    **dict.fromkeys(("OneHot", "RoiAlign"), slice(1, 2)),
    **dict.fromkeys(("MaxUnpool", "SequenceInsert"), slice(2, None)),
    "Pad": slice(1, None, 2),
    "If": slice(None),
    "Loop": slice(2),
}
"""Operators whose outputs, or whose samples, are as many as some of their inputs say; and which."""

_REDUCES: Final = slice(1, None)
"""The axes of the operators that are called `Reduce...`."""

_OF_SIZES: Final = {"Shape", "Size"}
_DRAWING: Final = ("Bernoulli", "Multinomial", "Random")


def refuse_sizes(model: onnx.ModelProto) -> None:
    """See that all images take as much memory, and as many rounds of each loop.

    Where the numbers in an image decide, as of what a mask selects or how often a loop runs, one
    image may take all memory or time without end, and end or stop for all others what runs the
    file; and onnxruntime reads beyond an empty tensor in some operators. What hangs on the size of
    the batch alone is usual, as where a file reshapes N images.

    Raises
    ------
    RefusedError
        Naming the first node that asks the image.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    images = {value.name for value in model.graph.input if value.name not in stored}
    node = next(_deciding(model.graph, images), None)
    if node is not None:
        name = node.name or next(iter(node.output), "")
        raise RefusedError(
            f"With the node {name[:80]!r} ({node.op_type}) an image decides how large a tensor is "
            "or how often a loop runs, and may take all memory, or time without end. Sizes and "
            "loops that are the same for all images are accepted."
        )


def _deciding(graph: GraphProto, known: set[str]) -> Iterator[NodeProto]:
    """Yield the nodes of which the image decides the size of what they give.

    Parameters
    ----------
    known
        Names of tensors whose numbers depend on the image, or are drawn. What is found is added.
    """
    for node in graph.node:
        depends = not known.isdisjoint(node.input) or node.op_type.startswith(_DRAWING)
        within = False
        for body in subgraphs(node):
            yield from _within(node, body, known)
            within |= not known.isdisjoint(value.name for value in body.output)
        sizing = _REDUCES if node.op_type.startswith("Reduce") else _SIZING.get(node.op_type)
        if sizing is not None and not known.isdisjoint(node.input[sizing]):
            yield node
        if (depends or within) and node.op_type not in _OF_SIZES:
            known.update(node.output)


def _within(node: NodeProto, body: GraphProto, known: set[str]) -> Iterator[NodeProto]:
    """Yield the nodes that decide within a branch or a body, and the loop whose end it decides."""
    given = [value.name for value in body.input]
    if node.op_type != "Loop":
        known.update(given)
        yield from _deciding(body, known)
        return
    # The number of a round is the same for all images, and so is whether it goes on, unless what
    # is carried from one to the next has a say in it.
    known.update(given[2:])
    if not known.isdisjoint(node.input[1:2]):
        known.update(given[1:2])
    yield from _deciding(body, known)
    if not known.isdisjoint(value.name for value in body.output[:1]):
        yield node
