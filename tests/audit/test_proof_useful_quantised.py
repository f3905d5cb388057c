"""Invariant networks as onnxruntime's own quantiser writes them: all proved."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import Tensor, nn

from audit.proof import prove
from tests.audit.exported import CHANNELS, SIZE, Whole, assert_proved, export, symmetric
from tests.audit.fuzz.judge import run_alone

# Some seconds each, of which torch takes most.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("exporter")]
Body = Callable[[Tensor], Tensor]


class Noise(CalibrationDataReader):  # type: ignore[misc]
    """Images to find the ranges of tensors with."""

    def __init__(self) -> None:
        self.images: Iterator[NDArray[np.float32]] = (
            np.random.default_rng(seed).random((4, CHANNELS, SIZE, SIZE), np.float32)
            for seed in range(4)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self.images, None)
        return None if image is None else {"image": image}


def classifier(x: Tensor, f: Body, g: Body, over: str) -> Tensor:
    features = f(x).relu()
    return g(features.amax((2, 3)) if over == "max" else features.mean((2, 3)))


@pytest.mark.parametrize("dynamo", [True, False], ids=["new", "old"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
@pytest.mark.parametrize(
    ("over", "reduced", "arithmetic"),
    [("max", True, "quantised"), ("max", False, "float"), ("mean", True, "float")],
)
def test_what_onnxruntime_quantises_is_proved(
    dynamo: bool,
    per_channel: bool,
    kind: Any,
    over: str,
    reduced: bool,
    arithmetic: str,
    tmp_path: Path,
) -> None:
    """Weights of 8 bits saturate where products of bytes are added in 16, those of 7 do not."""
    torch.manual_seed(3)
    parts = {"f": symmetric(CHANNELS, 4), "g": nn.Linear(4, 3)}
    network = Whole(parts, lambda x, f, g: classifier(x, f, g, over))
    onnx.save(export(network, dynamo=dynamo), tmp_path / "floats.onnx")
    quantize_static(
        tmp_path / "floats.onnx",
        tmp_path / "integers.onnx",
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=kind,
        weight_type=QuantType.QInt8,
        reduce_range=reduced,
    )
    model = onnx.load(tmp_path / "integers.onnx")
    assert_proved(model)
    assert prove(model.SerializeToString(), "C4", runtime=run_alone).arithmetic == arithmetic
