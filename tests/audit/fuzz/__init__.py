"""Random graphs over every operator that the proof knows, tried against onnxruntime."""
