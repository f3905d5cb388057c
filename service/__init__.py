"""The HTTP service over a model repository: FastAPI in front, onnxruntime behind, no torch."""

import artifact  # noqa: F401 -- before onnxruntime
