"""A model on onnxruntime as it stands in its file, node by node, with nothing optimised."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

_SILENT = 4


def run_as_written(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run a model once on the CPU, in one thread and without a word in the log.

    It is the runtime that `audit.proof.prove` asks what becomes of constants.

    Parameters
    ----------
    feeds
        The inputs, by name.

    Returns
    -------
    The outputs, in their order.

    Raises
    ------
    Exception
        One of onnxruntime's own, if it lacks an operator or a type, or refuses the inputs.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values: Sequence[Any] = session.run(None, dict(feeds))
    return [np.asarray(value) for value in values]
