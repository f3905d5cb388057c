"""What an artefact of a model is made of and runs on, for whoever makes, checks or serves it."""

import os

# Otherwise onnxruntime's packages tell Microsoft of each file that they open, and keep a database
# below the home folder. It is read when onnxruntime is imported: rooms that do so import this one.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
