"""Buffers on a device for one batch size, at addresses that never change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from artifact.contract import Images
from service.engine.queue import Inference


class Binding:
    """Runs a graph over batches padded to one size, with its input and outputs on the device.

    A CUDA graph is captured over addresses, so each size that is captured needs buffers that stay.

    Parameters
    ----------
    runtime
        An `onnxruntime.InferenceSession` with one input.
    input, outputs
        Names and shapes of the graph's ends, the padded batch size in front.
    memory
        onnxruntime's name of the device's memory, `cuda` or `cpu`, and the device's number.
    captured
        Whether the session captures CUDA graphs: each size is one, told apart by its number.
    """

    def __init__(
        self,
        runtime: Any,
        input: tuple[str, list[int]],  # noqa: A002 - what it is called in ONNX
        outputs: dict[str, list[int]],
        memory: tuple[str, int],
        *,
        captured: bool,
    ) -> None:
        name, shape = input
        self._runtime = runtime
        self._staged = np.zeros(shape, np.uint8)
        self._input = onnxruntime.OrtValue.ortvalue_from_numpy(self._staged, *memory)
        self._outputs = [
            onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, *memory)
            for shape in outputs.values()
        ]
        self._io = runtime.io_binding()
        self._io.bind_ortvalue_input(name, self._input)
        for output, value in zip(outputs, self._outputs, strict=True):
            self._io.bind_ortvalue_output(output, value)
        self._run_options = onnxruntime.RunOptions()
        if captured:
            self._run_options.add_run_config_entry("gpu_graph_id", str(shape[0]))

    def run(self, parts: Sequence[Images]) -> Inference:
        """Classify images laid behind one another, at most as many as the size."""
        rows = sum(map(len, parts))
        np.concatenate(parts, out=self._staged[:rows])
        self._staged[rows:] = 0
        self._input.update_inplace(self._staged)
        self._runtime.run_with_iobinding(self._io, self._run_options)
        return Inference(*(self._rows(value, rows) for value in self._outputs))

    @staticmethod
    def _rows(value: Any, rows: int) -> npt.NDArray[np.float32]:
        # On the CPU `numpy()` is a view of the buffer, which the next batch overwrites.
        return np.array(value.numpy()[:rows])
