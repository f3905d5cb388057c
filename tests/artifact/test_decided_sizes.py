"""Sizes and loops that an image decides are refused."""

import signal
import subprocess
import sys

import onnx
import pytest

from artifact.onnx_file import check_operators
from tests.artifact.onnx_file.files import parse


def normalising(nodes: str, side: str = "s") -> onnx.ModelProto:
    """Return a network that normalises what `nodes` make of the image, `e`."""
    return parse(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (uint8[N, 1, 4, 4] image) => (float[a, b, c, d] y)
        <float[1] one = {{1}}, int64[1] from = {{0}}, int64[1] to = {{4}}, int64[1] axis = {{3}},
         int64[4] rows = {{0, 0, -1, 2}}, int64 many = {{9}}, bool yes = {{1}},
         float[1] half = {{0.5}}> {{
            f = Cast<to = 1>(image)
            {nodes}
            y = InstanceNormalization(e, one, one)
        }}
    """)


WIDTH = "m = ReduceMax<keepdims = 0>(f) w = Cast<to = 7>(m) u = Unsqueeze(w, from)"


BODY = """<body = l (int64 i, bool g, float[a, b, c, d] v) => (bool b, float[a, b, c, d] y2) {{
    {} y2 = Relu(v)}}>"""
"""Of a loop that carries one tensor on."""


@pytest.mark.parametrize(
    "nodes",
    [
        f"{WIDTH} e = Slice(f, from, u, axis)",
        "r = RandomUniform<shape = [1]>() w = Cast<to = 7>(r) e = Slice(f, from, w, axis)",
        f"{WIDTH} p = Slice(f, from, u, axis) e = Relu(p)",
        f"{WIDTH} p = Slice(f, from, u, axis) q = Shape(p) e = Expand(f, q)",
        f"{WIDTH} v = Concat<axis = 0>(from, from, u, to) e = Reshape<allowzero = 1>(f, v)",
        "c = Cast<to = 9>(image) v = Constant<value_ints = [-1]>() g = Reshape(c, v) "
        "e = Compress<axis = 3>(f, g)",
        f"{WIDTH} e = If (yes) <then_branch = t () => (float[a, b, c, d] p) "
        "{p = Slice(f, from, u, axis)}, else_branch = o () => (float[a, b, c, d] q) "
        "{q = Identity(f)}>",
        f"{WIDTH} g = ConstantOfShape(u) s = ReduceSum<keepdims = 0>(g) e = Add(f, s)",
        f"{WIDTH} g = Tile(to, u) s = ReduceMax<keepdims = 0>(g) n = Cast<to = 1>(s) e = Add(f, n)",
        f"{WIDTH} e = Loop(w, yes, f) {BODY.format('b = Identity(g)')}",
        f"{WIDTH} b0 = Cast<to = 9>(w) e = Loop(many, b0, f) {BODY.format('b = Identity(g)')}",
        f"e = Loop(many, yes, f) {BODY.format('m = ReduceMax(v) b = Cast<to = 9>(m)')}",
        f"e = Loop(many, yes, f) {BODY.format(f'{WIDTH} h = Expand(f, u) b = Identity(g)')}",
        f"{WIDTH} b0 = Cast<to = 9>(w) e = If (b0) <then_branch = t () => (float[a, b, c, d] p) "
        "{p = Slice(f, from, to, axis)}, else_branch = o () => (float[a, b, c, d] q) "
        "{q = Identity(f)}>",
        f"{WIDTH} s = SplitToSequence(f, u) e = ConcatFromSequence<axis = 0>(s)",
        "g = Reshape(f, rows) h = Flatten(g) r = Slice(h, from, to, to) e = RoiAlign(f, r, from)",
        f"{WIDTH} v = Concat<axis = 0>(rows, u, u, u, u) e = Pad(f, v)",
        f"{WIDTH} h = Cast<to = 7>(image) v = Concat<axis = 0>(half, half) e = OneHot(h, w, v)",
        "b = Bernoulli(half) w = Cast<to = 7>(b) e = Slice(f, from, w, axis)",
    ],
)
def test_sizes_that_an_image_decides_are_refused(nodes: str) -> None:
    with pytest.raises(ValueError, match="an image decides how large a tensor is"):
        check_operators(normalising(nodes))


@pytest.mark.parametrize(
    "nodes",
    [
        "e = Slice(f, from, to, axis)",
        "e = Reshape(f, rows)",
        "v = Shape(f) e = Expand(f, v)",
        "e = Sigmoid(f)",
        "p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(f) "
        "e = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(p, i)",
        "v = Concat<axis = 0>(rows, rows) w = Abs(v) m = ReduceMin<keepdims = 0>(f) "
        "e = Pad(f, w, m)",
        "h = Cast<to = 7>(image) m = ReduceMax<keepdims = 0>(f) v = Concat<axis = 0>(half, half) "
        "w = Mul(v, m) d = ReduceMax<keepdims = 0>(rows) g = OneHot<axis = -1>(h, d, w) "
        "e = ReduceSum<keepdims = 0>(g, to)",
        f"e = Loop(many, yes, f) {BODY.format('b = Identity(g)')}",
        "s0 = Shape<start = 0, end = 1>(f) s = Squeeze(s0) "
        f"e = Loop(s, yes, f) {BODY.format('b = Identity(g)')}",
        "s = SequenceConstruct(f, f) e = ConcatFromSequence<axis = 1>(s)",
        "e = If (yes) <then_branch = t () => (float[a, b, c, d] p) {p = Relu(f)}, "
        "else_branch = o () => (float[a, b, c, d] q) {q = Identity(f)}>",
    ],
)
def test_sizes_that_are_the_same_for_all_images_are_accepted(nodes: str) -> None:
    check_operators(normalising(nodes))


def test_the_process_ends_for_one_image_and_runs_others() -> None:
    """The trap is real: without it there would be nothing to refuse."""
    data = normalising(f"{WIDTH} e = Slice(f, from, u, axis)").SerializeToString()
    program = (
        "import sys, numpy, onnxruntime\n"
        "given = sys.stdin.buffer.read()\n"
        "session = onnxruntime.InferenceSession(given, providers=['CPUExecutionProvider'])\n"
        "image = numpy.full((1, 1, 4, 4), int(sys.argv[1]), numpy.uint8)\n"
        "session.run(None, {'image': image})\n"
    )
    ended = [
        subprocess.run([sys.executable, "-c", program, level], input=data, capture_output=True)
        for level in ("3", "0")
    ]
    assert [each.returncode for each in ended] == [0, -signal.SIGSEGV]
