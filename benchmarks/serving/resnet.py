"""A network of ResNet-50's size with random weights, and photographs of no place as JPEG files."""

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from artifact.contract import INPUT, OUTPUTS
from artifact.layout import MODEL_FILE

NAME: Final = "resnet50"
SIDE: Final = 224
CLASSES: Final = 1000
PHOTOGRAPHS: Final = 16
WIDTH: Final = 640
HEIGHT: Final = 480
_QUALITY: Final = 90
_BLOCKS: Final = (3, 4, 6, 3)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ModelError(RuntimeError):
    """The model could not be made; the message is one sentence."""


def prepare_model(folder: Path) -> Path:
    """Return the model's file in a repository of its own below a folder, making it if need be.

    It is imported as any model from elsewhere is, which takes some minutes; then it is kept.

    Raises
    ------
    ModelError
        With the importer's last line.
    """
    repository = folder / "repository"
    file = repository / NAME / "1" / MODEL_FILE
    if file.exists():
        return file
    images = folder / "photographs"
    images.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(photographs()):
        (images / f"{number:02}.jpg").write_bytes(content)
    written = folder / f"{NAME}.onnx"
    written.write_bytes(network())
    names = folder / "classes.txt"
    names.write_text("".join(f"class {number}\n" for number in range(CLASSES)))
    command = [sys.executable, "-m", "orbitserve", "import", written, "--name", NAME]
    command += ["--audit-images", images, "--classes", names, "--repository", repository]
    command += ["--fit", "resize-crop", "--resize", "256"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if not file.exists():
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise ModelError(f"the model could not be imported: {lines[-1]}")
    written.unlink()
    return file


def photographs(count: int = PHOTOGRAPHS) -> list[bytes]:
    """Return JPEG files of 640 x 480 with structures of every size, as photographs have them."""
    random = np.random.default_rng(0)
    return [_photograph(random) for _ in range(count)]


def _photograph(random: np.random.Generator) -> bytes:
    light = np.zeros((HEIGHT, WIDTH, 3))
    for power in range(1, 10):
        grain = random.standard_normal((3, 3 * 2**power // 4 + 1, 2**power + 1)).astype(np.float32)
        grown = [
            np.asarray(Image.fromarray(each).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
            for each in grain
        ]
        light += 0.7**power * np.stack(grown, axis=-1)
    file = io.BytesIO()
    levels = np.clip(128 + 64 * light, 0, 255).astype(np.uint8)
    Image.fromarray(levels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def network(narrow: int = 1) -> bytes:
    """Return the file of a ResNet-50 (He et al., 2015) whose weights are random numbers.

    Batch normalisation is folded into the convolutions, as in what is deployed.

    Parameters
    ----------
    narrow
        What its channels are divided by.
    """
    return _Network(np.random.default_rng(0)).file(narrow)


class _Network:
    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def file(self, narrow: int) -> bytes:
        x = self._add("Cast", INPUT, to=TensorProto.FLOAT)
        x = self._add("Sub", x, self._colours(255 * np.array(_MEAN)))
        x = self._add("Div", x, self._colours(255 * np.array(_DEVIATION)))
        x = self._add("Relu", self._convolve(x, 3, 64 // narrow, 7, 2))
        x = self._add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        channels = 64 // narrow
        for stage, blocks in enumerate(_BLOCKS):
            width = 64 // narrow * 2**stage
            for block in range(blocks):
                x = self._block(x, channels, width, 2 if stage and not block else 1)
                channels = 4 * width
        x = self._add("Flatten", self._add("GlobalAveragePool", x))
        head = self._constant(self._normal((CLASSES, channels), channels))
        logits, probabilities = OUTPUTS
        self._nodes.append(helper.make_node("Gemm", [x, head], [logits], transB=1))
        self._nodes.append(helper.make_node("Softmax", [logits], [probabilities], axis=1))
        image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, SIDE, SIDE])
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", CLASSES])
            for name in OUTPUTS
        ]
        graph = helper.make_graph(self._nodes, NAME, [image], outputs, self._weights)
        opset = [helper.make_opsetid("", 20)]
        return bytes(
            helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
        )

    def _block(self, x: str, channels: int, width: int, stride: int) -> str:
        y = self._add("Relu", self._convolve(x, channels, width, 1))
        y = self._add("Relu", self._convolve(y, width, width, 3, stride))
        y = self._convolve(y, width, 4 * width, 1)
        if channels != 4 * width or stride > 1:
            x = self._convolve(x, channels, 4 * width, 1, stride)
        return self._add("Relu", self._add("Add", y, x))

    def _convolve(self, x: str, channels: int, out: int, kernel: int, stride: int = 1) -> str:
        # A gain of 1 and not of 2: a block adds its input, and what is added would grow.
        bank = self._normal((out, channels, kernel, kernel), channels * kernel**2)
        weights = [self._constant(bank), self._constant(np.zeros(out, np.float32))]
        return self._add("Conv", x, *weights, strides=[stride] * 2, pads=[kernel // 2] * 4)

    def _normal(self, shape: Sequence[int], summed: int) -> NDArray[np.float32]:
        found = self._random.standard_normal(shape, np.float32) / np.float32(np.sqrt(summed))
        return found.astype(np.float32)

    def _colours(self, values: NDArray[np.float64]) -> str:
        return self._constant(values.astype(np.float32).reshape(3, 1, 1))

    def _constant(self, value: NDArray[np.float32]) -> str:
        self._weights.append(numpy_helper.from_array(value, f"w{len(self._weights)}"))
        return self._weights[-1].name

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output
