import json
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from export.bake import bake
from export.graph import to_onnx


@pytest.mark.slow
def test_the_file_keeps_its_contract(make_network, test_images, exporter):
    network = make_network("C4")
    model = to_onnx(bake(network), network.spec, {"name": "toy", "classes": ["a", "b", "c"]})
    assert {domain.domain for domain in model.opset_import} == {""}
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "name": "toy",
        "classes": json.dumps(["a", "b", "c"]),
    }
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["N", 1, 12, 12])
    outputs = [(output.name, output.type, output.shape) for output in session.get_outputs()]
    assert outputs == [
        ("logits", "tensor(float)", ["N", 3]),
        ("probabilities", "tensor(float)", ["N", 3]),
    ]
    for count in (1, 3, 64):
        logits, probabilities = session.run(None, {"image": test_images.images[:count]})
        assert logits.shape == probabilities.shape == (count, 3)

    # What the exporter notes beside its nodes would tell where the project lay.
    project = str(Path(__file__).parents[2])
    assert project.encode() not in model.SerializeToString()
    assert "site-packages" not in onnx.printer.to_text(model)
