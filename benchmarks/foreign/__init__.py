"""Models that nobody here wrote, imported and served beside plain onnxruntime."""
