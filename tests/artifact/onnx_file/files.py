"""Files that the tests change, and the sentence that one is refused with."""

from functools import cache
from pathlib import Path

import onnx
import onnx.parser
import pytest

from artifact.onnx_file import check_operators, read_onnx

ROOT = Path(__file__).parents[3]
SHIPPED = ("rotmnist-c4", "rotmnist-c4-int8", "rotmnist-cnn")


@cache
def shipped(name: str) -> bytes:
    return (ROOT / "model_repository" / name / "1" / "model.onnx").read_bytes()


def check(data: bytes) -> onnx.ModelProto:
    model = read_onnx(data)
    check_operators(model)
    return model


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(text)


def sentence(data: bytes) -> str:
    """What the file is refused with: one sentence that says what is accepted."""
    with pytest.raises(ValueError, match=r"accepted\.$|^This is no valid ONNX file: ") as refused:
        check(data)
    text = str(refused.value)
    assert "\n" not in text
    assert len(text) < 500
    assert text.endswith(".")
    return text


SMALL = """
    <ir_version: 9, opset_import: ["" : 18]>
    small (float[N, 2] x) => (float[N, 2] y) <float[2] w = {1, 2}> { y = Mul(x, w) }
"""


def small() -> onnx.ModelProto:
    return parse(SMALL)
