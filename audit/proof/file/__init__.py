"""An ONNX file as the proof reads it: a graph, its nodes, their types."""
