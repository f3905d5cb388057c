"""From a baked network to one ONNX file that keeps the contract of this project.

Input ``image``: uint8 ``[N, C, H, W]``, N dynamic. Outputs ``logits`` and ``probabilities``:
float32 ``[N, K]``. Normalisation is part of the graph, no operator is custom, and the file says in
its metadata what it is.
"""

import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import onnx
import torch

from artifact.contract import INPUT, OUTPUTS
from export.bake import Baked
from models.networks import NetworkSpec


def to_onnx(baked: Baked, spec: NetworkSpec, metadata: Mapping[str, Any]) -> onnx.ModelProto:
    """Return ``baked`` as an ONNX model; metadata that is no string is written as JSON."""
    example = torch.zeros(2, spec.channels, spec.size, spec.size, dtype=torch.uint8)
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)  # it warns that torchvision is missing, which is meant
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch about its own internals
            program = torch.onnx.export(
                baked,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes={INPUT: {0: torch.export.Dim("N")}},
            )
    finally:
        exporter_log.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing.")
    model = program.model_proto
    _strip(model)
    onnx.helper.set_model_props(
        model,
        {
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in metadata.items()
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: they hold stack traces with the paths of this machine."""
    model.doc_string = model.graph.doc_string = ""
    parts = (
        model.graph.node,
        model.graph.value_info,
        model.graph.input,
        model.graph.output,
        model.graph.initializer,
    )
    for part in parts:
        for item in part:
            del item.metadata_props[:]
            item.doc_string = ""
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
