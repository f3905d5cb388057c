"""How the files e2cnn-*.onnx were made: `python e2cnn_export.py FOLDER`, with e2cnn 0.2.3.

e2cnn does not run with numpy 2.3 or later; this was run with numpy 2.2.6 and torch 2.13.0.
"""

import sys
from pathlib import Path

import numpy as np

_array = np.array


def lenient(value, *args, copy=True, **more):
    """Before numpy 2, ``copy=False`` meant to copy only where that is needed, as e2cnn wants."""
    if copy is False:
        return np.asarray(value, *args, **more)
    return _array(value, *args, copy=copy, **more)


np.array = lenient

import onnx  # noqa: E402
import torch  # noqa: E402
from e2cnn import gspaces, nn  # noqa: E402


class Classifier(torch.nn.Module):
    """An exported body, the mean over its pixels, and four classes."""

    def __init__(self, body):
        super().__init__()
        self.body, self.head = body, torch.nn.Linear(4, 4)

    def forward(self, image):
        return self.head(self.body(image).mean((2, 3)))


def equivariant(space):
    image = nn.FieldType(space, [space.trivial_repr])
    first = nn.FieldType(space, 3 * [space.regular_repr])
    second = nn.FieldType(space, 2 * [space.regular_repr] + [space.trivial_repr])
    third = nn.FieldType(space, 4 * [space.regular_repr])
    body = nn.SequentialModule(
        nn.R2Conv(image, first, 5, padding=2, bias=True),
        nn.InnerBatchNorm(first),
        nn.ReLU(first),
        nn.R2Conv(first, second, 3, padding=1, stride=2, bias=True),
        nn.ELU(second),
        nn.R2Conv(second, third, 3, padding=1, bias=True),
        nn.InnerBatchNorm(third),
        nn.ReLU(third),
        nn.GroupPooling(third),
    )
    with torch.no_grad():
        for module in body.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
    return body.eval()


def export(space, path):
    torch.manual_seed(1)
    network = Classifier(equivariant(space).export()).eval()
    batch = {0: "N"}
    torch.onnx.export(
        network,
        (torch.rand(2, 1, 13, 13),),
        path,
        input_names=["image"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
        dynamic_axes={"image": batch, "logits": batch},
    )
    model = onnx.load(path)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.save(model, path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    export(gspaces.Rot2dOnR2(4), folder / "e2cnn-c4.onnx")
    export(gspaces.FlipRot2dOnR2(4), folder / "e2cnn-d4.onnx")
    export(gspaces.Rot2dOnR2(8), folder / "e2cnn-c8.onnx")
