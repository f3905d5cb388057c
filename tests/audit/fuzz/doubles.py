"""A graph computed once more in doubles: what is left of a deviation there is not rounding."""

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

_NARROW: Final = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def in_doubles(model: onnx.ModelProto, images: NDArray[Any]) -> list[NDArray[Any]] | None:
    """Return the outputs, by ONNX's reference; None where it cannot compute them in doubles."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    try:
        _widen(wide.graph)
        if images.dtype.kind == "f":
            images = images.astype(np.float64)
        return [
            np.atleast_1d(each)
            for each in ReferenceEvaluator(wide).run(None, {model.graph.input[0].name: images})
        ]
    except Exception:  # the reference raises nearly anything where types do not fit together
        return None


def _widen(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        if kind.elem_type in _NARROW:
            kind.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i in _NARROW:
                attribute.i = TensorProto.DOUBLE
            if attribute.HasField("t"):
                _widen_tensor(attribute.t)
            if attribute.HasField("g"):
                _widen(attribute.g)


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _NARROW:
        values = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
