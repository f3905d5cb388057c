"""NVIDIA's Triton, Python backend: onnxruntime over the batch that Triton gathered."""

import os
import sys

# The stub's interpreter is isolated: it ignores PYTHONPATH.
sys.path[:0] = os.environ["RIVAL_PATH"].split(os.pathsep)

import numpy as np  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402
from classifier import Classifier  # noqa: E402


class TritonPythonModel:
    """What the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the session."""
        self.classifier = Classifier()

    def execute(self, requests: list) -> list:
        """Classify the images of all requests at once, and give each its rows."""
        parts = [triton.get_input_tensor_by_name(r, "image").as_numpy() for r in requests]
        batch = parts[0] if len(parts) == 1 else np.concatenate(parts)
        found = self.classifier.probabilities(batch)
        responses, start = [], 0
        for part in parts:
            rows = found[start : start + len(part)]
            start += len(part)
            output = triton.Tensor("probabilities", rows)
            responses.append(triton.InferenceResponse([output]))
        return responses
