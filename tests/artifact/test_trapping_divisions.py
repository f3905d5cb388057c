"""Divisions of integers that may end the process are refused, and others are not."""

import platform
import signal
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto

from artifact.onnx_file import check_operators
from artifact.session import run_as_written
from audit.proof import prove
from tests.artifact.onnx_file.files import parse


def dividing(kind: str, divisor: str, *, operator: str = "Div") -> onnx.ModelProto:
    """Return a network that divides the image, as `kind`, by what a line of the graph computes."""
    number = getattr(TensorProto, kind.upper())
    return parse(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (uint8[N, 1, 4, 4] image) => ({kind}[N, 1, 4, 4] y)
        <{kind} two = {{2}}, {kind} minus = {{-1}}, int64 first = {{0}}> {{
            x = Cast<to = {number}>(image)
            shape = Shape(image)
            side = Gather(shape, first)
            sides = Cast<to = {number}>(side)
            same = Identity(minus)
            {divisor}
            y = {operator}(x, d)
        }}
    """)


@pytest.mark.parametrize("operator", ["Div", "Mod"])
@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize(
    "divisor", ["d = Identity(minus)", "d = Neg(x)", "d = Max(x, two)", "d = Add(same, two)"]
)
def test_divisions_that_may_end_the_process_are_refused(
    operator: str, kind: str, divisor: str
) -> None:
    with pytest.raises(ValueError, match="the least integer divided by -1 ends the process"):
        check_operators(dividing(kind, divisor, operator=operator))


@pytest.mark.parametrize("kind", ["int8", "int16", "float", "double"])
def test_of_other_types_nothing_traps(kind: str) -> None:
    check_operators(dividing(kind, "d = Neg(x)"))


@pytest.mark.parametrize("kind", ["int32", "int64", "float"])
@pytest.mark.parametrize("divisor", ["d = Identity(two)", "d = Identity(sides)"])
def test_constants_and_sides_divide(kind: str, divisor: str) -> None:
    check_operators(dividing(kind, divisor))


def test_a_division_inside_of_a_branch_is_found() -> None:
    model = parse("""
        <ir_version: 9, opset_import: ["" : 18]>
        network (int32[N] image, bool c) => (int32[N] y) {
            y = If (c) <
                then_branch = inner () => (int32[N] a) { a = Div(image, image) },
                else_branch = other () => (int32[N] b) { b = Identity(image) }
            >
        }
    """)
    with pytest.raises(ValueError, match="ends the process"):
        check_operators(model)


@pytest.mark.parametrize("operator", ["Div", "Mod"])
def test_the_processor_traps_and_the_proof_does_not_ask_for_it(operator: str) -> None:
    """The trap is real: without it there would be nothing to refuse. The proof folds constants."""
    model = parse(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (int32[N, 1, 4, 4] image) => (int32[N, 1, 4, 4] y)
        <int32[1] least = {{-2147483648}}, int32[1] minus = {{-1}}> {{
            c = {operator}(least, minus)
            y = Add(image, c)
        }}
    """)
    data = model.SerializeToString()
    program = (
        "import sys, onnxruntime\n"
        "data = sys.stdin.buffer.read()\n"
        "onnxruntime.InferenceSession(data, providers=['CPUExecutionProvider'])\n"
    )
    died = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
    if platform.machine() == "x86_64":
        assert died.returncode == -signal.SIGFPE
    assert prove(data, "C4", runtime=run_as_written).outcome == "NOT PROVED"
