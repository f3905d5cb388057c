"""Networks of torch as ONNX files, from both of its exporters."""

import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch import Tensor, nn

from audit.proof import prove
from tests.audit.fuzz.judge import judge, run_alone

CHANNELS, SIZE = 2, 8


class Whole(nn.Module):
    """A network made of parts that have weights, and of a function of them."""

    def __init__(self, parts: dict[str, nn.Module], forward: Callable[..., Tensor]) -> None:
        super().__init__()
        self.parts, self.function = nn.ModuleDict(parts), forward

    def forward(self, image: Tensor) -> Tensor:
        return self.function(image, **self.parts)


def symmetric(planes: int, into: int, size: int = 3, *, transposed: bool = False) -> nn.Module:
    """A convolution, or a transposed one, whose filters do not change when they are rotated."""
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(planes, into, size, padding=0 if transposed else 1)
    with torch.no_grad():
        # Multiples of 1/256, so that the sum over the four rotations is exact.
        grid = torch.randint(-64, 65, layer.weight.shape) / 256
        layer.weight.copy_(sum((torch.rot90(grid, k, (2, 3)) for k in range(4)), grid * 0))
    return layer


def export(network: nn.Module, *, dynamo: bool) -> onnx.ModelProto:
    network.eval()
    image = torch.zeros(2, CHANNELS, SIZE, SIZE)
    network(image)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of torch about itself
        file = Path(folder) / "model.onnx"
        if not dynamo:
            axes = {"image": {0: "N"}}
            torch.onnx.export(
                network, (image,), file, input_names=["image"], dynamo=False, dynamic_axes=axes
            )
            return onnx.load(file)
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            dynamic_shapes={"image": {0: torch.export.Dim("N")}},
        )
    assert program is not None
    return program.model_proto


def assert_proved(model: onnx.ModelProto) -> None:
    proof = prove(model.SerializeToString(), "C4", runtime=run_alone)
    assert proof.outcome == "PROVED", proof.reasons
    judged = judge(model)
    assert (judged.finding, judged.deviates) == ("sound", False), judged
