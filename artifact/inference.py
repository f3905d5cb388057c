"""Files that ONNX ends the process with as it infers their shapes."""

import subprocess
import sys
from typing import Final

import onnx

from artifact.onnx_file import all_nodes
from imaging.refusal import RefusedError

_INFERRING: Final = """
import sys; sys.path[:] = {path!r}
import onnx
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
    ended = subprocess.run(  # noqa: S603 # nothing here comes from outside
        [sys.executable, "-P", "-c", _INFERRING.format(path=sys.path)],
        input=model.SerializeToString(),
        capture_output=True,
        check=False,
    ).returncode
    if ended < 0:
        raise RefusedError(
            "ONNX's inference of shapes ends the process that asks it about the file, as where a "
            "Slice reads what a window gives that does not fit."
        )
