"""A float32 file in half precision, for GPUs."""

from collections.abc import Mapping

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel


def to_half(model: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return ``model`` with float16 inside; its ends, and the softmax, stay float32."""
    source = onnx.ModelProto()
    source.CopyFrom(model)
    half = convert_float_to_float16(source, keep_io_types=True, op_block_list=["Softmax"])
    OnnxModel(half).topological_sort()  # its casts come last
    del half.graph.value_info[:]
    onnx.helper.set_model_props(half, dict(metadata))
    onnx.checker.check_model(half, full_check=True)
    return half
