"""Divisions of integers that may end the process are refused, and others are not."""

import platform
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

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


COMPUTED = (
    "d = Sub(one, two)",
    "d = Neg(one)",
    "c = Shape(image) e = Gather(c, first) f = Cast<to = 6>(e) d = Sub(f, two)",
    "d = Cast<to = 6>(fraction)",
    "d = BitwiseNot(none)",
    "d = ConstantOfShape<value = int32[1] {-1}>(sides)",
    "d = If (yes) <then_branch = t () => (int32[1] a) {a = Neg(one)}, "
    "else_branch = e () => (int32[1] b) {b = Identity(two)}>",
    "long = ConstantOfShape(sides) c = Shape(long) d = Cast<to = 6>(c)",
)
HIDDEN = (
    "then_branch = t () => (int32[N] a) <int32[1] two = {-1}> {a = Div(x, two)}",
    "then_branch = t () => (int32[N] a) {"
    "a = Loop(trip, yes, x) <body = b (int64 i, bool on, int32[N] two) => (bool off, int32[N] c) "
    "{off = Identity(on) c = Div(x, two)}>}",
    "then_branch = t () => (int32[N] a) {of_floats = Identity(x) a = Div(least, of_floats)}",
)
"""Where a name of a constant, or of floats, is another tensor's in a branch."""


def of_int32(nodes: str) -> onnx.ModelProto:
    return parse(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (uint8[N] image) => (int32[N] y)
        <int32[1] one = {{1}}, int32[1] two = {{2}}, int32[1] none = {{0}}, float[1] fraction =
         {{-1.5}}, int32[1] least = {{-2147483648}}, int64[2] sides = {{4294967295, 0}},
         int64 first = {{0}}, bool yes = {{1}}, int64 trip = {{1}}, float[N] of_floats> {{
            x = Cast<to = 6>(image)
            {nodes}
        }}
    """)


@pytest.mark.parametrize("divisor", COMPUTED)
def test_a_divisor_that_nodes_compute_may_be_the_trap(divisor: str) -> None:
    with pytest.raises(ValueError, match="ends the process"):
        check_operators(of_int32(f"{divisor} y = Div(x, d)"))


@pytest.mark.parametrize("branch", HIDDEN)
def test_a_name_in_a_branch_hides_the_one_around_it(branch: str) -> None:
    other = "else_branch = e () => (int32[N] b) {b = Identity(x)}"
    with pytest.raises(ValueError, match="ends the process"):
        check_operators(of_int32(f"y = If (yes) <{branch}, {other}>"))


def test_a_sparse_constant_may_be_the_trap() -> None:
    model = of_int32("y = Div(x, d)")
    values = numpy_helper.from_array(np.array([-1], np.int32), "d")
    places = numpy_helper.from_array(np.array([0]), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1]))
    with pytest.raises(ValueError, match="ends the process"):
        check_operators(model)


@pytest.mark.parametrize(
    "divisor",
    [
        "d = Identity(two)",
        "d = Constant<value_int = 2>() ",
        "c = Concat<axis = 0>(one, two) d = Max(c)",
    ],
)
def test_constants_that_are_moved_divide(divisor: str) -> None:
    check_operators(of_int32(f"{divisor} y = Div(x, d)"))
