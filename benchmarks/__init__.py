"""Side-by-side measurements; each prints the table that stands in docs/."""

import artifact  # noqa: F401 -- before onnxruntime
