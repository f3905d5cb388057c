"""Making a counterexample small: fewer nodes, plainer constants, the same fault."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from tests.audit.fuzz.judge import judge


def shrink(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the smallest graph found that has the same finding."""
    finding = judge(model).finding
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(model):
            if judge(candidate).finding == finding:
                model, smaller = candidate, True
                break
    return model


def _smaller(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    for place, node in enumerate(model.graph.node):
        for source in filter(None, node.input):
            candidate = _copy(model)
            del candidate.graph.node[place]
            for other in candidate.graph.node:
                names = [source if name in node.output else name for name in other.input]
                other.input[:] = names
            if not any(output.name in node.output for output in candidate.graph.output):
                yield _pruned(candidate)
    for place in range(len(model.graph.output) if len(model.graph.output) > 1 else 0):
        candidate = _copy(model)
        del candidate.graph.output[place]
        yield _pruned(candidate)
    for place, tensor in enumerate(model.graph.initializer):
        value = numpy_helper.to_array(tensor)
        if value.dtype.kind in "iuf" and value.size > 1 and (value != value.flat[0]).any():
            candidate = _copy(model)
            plain = np.full_like(value, value.flat[0])
            candidate.graph.initializer[place].CopyFrom(numpy_helper.from_array(plain, tensor.name))
            yield candidate


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Leave out what nothing reads."""
    nodes = list(model.graph.node)
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    stored = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(stored)
    return model
