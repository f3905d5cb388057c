"""From a trained network to a version of a model repository."""

import artifact  # noqa: F401 -- before onnxruntime
