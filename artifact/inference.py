"""Files that ONNX ends the process with as it infers their shapes."""

from typing import Final

import onnx

from artifact.apart import ended_by
from artifact.onnx_file import all_nodes
from imaging.refusal import RefusedError

_INFERRING: Final = """
import sys, onnx
model = onnx.load_model_from_string(sys.stdin.buffer.read())
onnx.shape_inference.infer_shapes(model, data_prop=True)
"""


def check_inference(model: onnx.ModelProto) -> None:
    """Infer shapes in a process of its own, which ONNX may end, where they are needed after.

    Raises
    ------
    RefusedError
        If the process was ended by a signal.
    """
    if all(node.op_type != "Slice" for node in all_nodes(model)):
        return
    if ended_by(_INFERRING, model.SerializeToString()):
        raise RefusedError(
            "ONNX's inference of shapes ends the process that asks it about the file, as where a "
            "Slice reads what a window gives that does not fit."
        )
