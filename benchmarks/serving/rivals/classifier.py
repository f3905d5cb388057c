"""The session that every rival runs, opened as this service opens its own.

Each rival's environment has onnxruntime of the version that this project has, and nothing of this
project: hence this file, which `tests/benchmarks` compares with `service.engine`.
"""

import os

import numpy as np
import onnxruntime


class Classifier:
    """The model file of `RIVAL_MODEL`, on `RIVAL_THREADS` threads."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["RIVAL_THREADS"])
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ["RIVAL_MODEL"], options, ["CPUExecutionProvider"]
        )
        self.shape = self.session.get_inputs()[0].shape[1:]

    def image(self, pixels: bytes) -> np.ndarray:
        """Return raw bytes as one image [C, H, W]."""
        return np.frombuffer(pixels, np.uint8).reshape(self.shape)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return [N, K] for images [N, C, H, W]."""
        return self.session.run(["probabilities"], {"image": images})[0]

    def answers(self, images: np.ndarray) -> list[dict[str, int | float]]:
        """Return label and probability of each image."""
        found = self.probabilities(images)
        labels = found.argmax(-1).tolist()
        return [
            {"label": label, "probability": float(row[label])}
            for label, row in zip(labels, found, strict=True)
        ]
