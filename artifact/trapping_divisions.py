"""Divisions that end a process: the least int32 or int64 by -1, which x86 processors trap."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from imaging.refusal import RefusedError

_DIVIDE: Final = {"Div", "Mod"}
_OF_SHAPES: Final = {"Shape", "Size"}
_TRAPPED: Final = {TensorProto.INT32, TensorProto.INT64}


def refuse_traps(model: onnx.ModelProto) -> None:
    """See that no image can end the process that classifies it.

    onnxruntime answers a division of integers by 0 with an error, and leaves that of the least
    integer by -1, whose result is none, to the processor: x86 ends the process. So what divides
    int32 or int64 must be constant and not -1, or be computed from shapes alone, which are
    positive.

    Raises
    ------
    RefusedError
        Naming the first node that divides otherwise.
    """
    doubtful = [*_doubtful(model.graph, set(), set())]
    if not doubtful:
        return
    types = _types(model)
    for node in doubtful:
        known = [types[name] for name in node.input[:2] if name in types]
        if not known or known[0] in _TRAPPED:
            name = node.name or next(iter(node.output), "")
            raise RefusedError(
                f"The node {name[:80]!r} ({node.op_type}) divides integers by numbers that depend "
                "on the image or are -1: the least integer divided by -1 ends the process. "
                "Divisors that are constant and not -1, or floats, are accepted."
            )


def _doubtful(
    graph: onnx.GraphProto, safe: set[str], of_images: set[str]
) -> Iterator[onnx.NodeProto]:
    """Yield divisions whose divisor is neither a harmless constant nor computed from shapes.

    Parameters
    ----------
    safe
        Names of constants without a -1, of this graph and those around it.
    of_images
        Names of what depends on more of an input than its shape.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    safe = safe | {name for name, tensor in stored.items() if _harmless(tensor)}
    of_images = of_images | {value.name for value in graph.input if value.name not in stored}
    # A constant that has a -1 is treated as what an image makes: nobody knows what it meets.
    of_images |= stored.keys() - safe
    for node in graph.node:
        if node.op_type == "Constant":
            (safe if _is_harmless(node) else of_images).update(node.output)
            continue
        inner = [*_graphs(node)]
        for each in inner:
            yield from _doubtful(each, safe, of_images)
        if node.op_type in _DIVIDE and len(node.input) > 1:
            divisor = node.input[1]
            if divisor not in safe and divisor in of_images:
                yield node
        if node.op_type in _OF_SHAPES:
            continue
        if inner or not of_images.isdisjoint(node.input):
            of_images.update(node.output)


def _graphs(node: onnx.NodeProto) -> Iterable[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _is_harmless(node: onnx.NodeProto) -> bool:
    for attribute in node.attribute:
        if attribute.name == "value":
            return _harmless(attribute.t)
        if attribute.name in ("value_int", "value_ints"):
            return -1 not in (attribute.i, *attribute.ints)
        if attribute.name in ("value_float", "value_floats"):
            return True
    return False


def _harmless(tensor: TensorProto) -> bool:
    if tensor.data_type not in _TRAPPED:
        return True
    return not bool((numpy_helper.to_array(tensor) == np.int64(-1)).any())


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The element types that are known, by name; of a name that two graphs have, none."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception:  # it has errors of its own, and knows nothing then
        inferred = model
    found: dict[str, int] = {}
    twice: set[str] = set()

    def note(name: str, kind: int) -> None:
        if found.setdefault(name, kind) != kind:
            twice.add(name)

    def visit(graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            note(tensor.name, tensor.data_type)
        for value in (*graph.input, *graph.value_info, *graph.output):
            if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type:
                note(value.name, value.type.tensor_type.elem_type)
        for node in graph.node:
            for inner in _graphs(node):
                visit(inner)

    visit(inferred.graph)
    return {name: kind for name, kind in found.items() if name not in twice}
