"""Every operator that the proof follows, in a network that rotates and in one that does not.

Whatever is PROVED is run on rotated images by onnxruntime as well.
"""

import re
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from audit.proof import prove
from imaging import GridSymmetry, grid_symmetries

Array = NDArray[Any]
SIZE, FIELDS = 7, 2
CHANNELS = 4 * FIELDS
rng = np.random.default_rng(5)

BASE = rng.integers(-3, 4, (FIELDS, 1, 3, 3)).astype(np.float32)
LIFT = np.stack([np.rot90(BASE, k, (2, 3)) for k in range(4)], axis=1).reshape(-1, 1, 3, 3)
DEEP = rng.integers(-2, 3, (FIELDS, FIELDS, 4, 3, 3)).astype(np.float32)
GROUP = np.stack([np.rot90(np.roll(DEEP, k, axis=2), k, (3, 4)) for k in range(4)], axis=1).reshape(
    CHANNELS, CHANNELS, 3, 3
)
TIED = np.repeat(np.array([1, 3], np.float32), 4)
HEAD = rng.integers(-3, 4, (FIELDS, 3)).astype(np.float32)
"""A lifting convolution, a group convolution, one number a field, a classifier of two features."""

START = "x = Cast<to = 1>(image) f = Conv<pads = [1, 1, 1, 1]>(x, LIFT, TIED)"
END = "m = GlobalMaxPool(y) s = Reshape(m, FIELDED) o = ReduceMax<keepdims = 0>(s, LAST)"
END += " logits = MatMul(o, HEAD)"
CONSTANTS = {
    "LIFT": LIFT,
    "GROUP": GROUP,
    "TIED": TIED,
    "TIED_PLANES": TIED.reshape(-1, 1, 1),
    "HEAD": HEAD,
    "FIELDED": np.array([0, FIELDS, 4]),
    "LAST": np.array([2]),
    "GRID": np.array([2, 3]),
    "ONE": np.array([1]),
    "HALF": np.float32(0.5),
}


def model(body: str, opset: int = 21, size: tuple[int, int] = (SIZE, SIZE), **more: Any) -> bytes:
    text = f"""
        <ir_version: 9, opset_import: ["" : {opset}]>
        network (uint8[N, 1, {size[0]}, {size[1]}] image) => (float[N, K] logits) {{ {body} }}
    """
    proto = onnx.parser.parse_model(text)
    for name, value in {**CONSTANTS, **more}.items():
        if re.search(rf"\b{name}\b", body):
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return bytes(proto.SerializeToString())


def deviation(data: bytes, group: str) -> float:
    """Largest change of a logit on noise, relative to the largest logit."""
    options = onnxruntime.SessionOptions()  # what is proved is the file, not what is made of it
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    images = np.random.default_rng(1).integers(0, 256, (8, *shape), np.uint8)
    upright, *rotated = (
        session.run(None, {"image": np.ascontiguousarray(g(images))})[0].astype(np.float64)
        for g in grid_symmetries(group)
    )
    return float(max(np.abs(t - upright).max() for t in rotated) / np.abs(upright).max())


def outcome(data: bytes, group: str = "C4") -> str:
    proof = prove(data, group)
    if proof.outcome == "PROVED":
        assert deviation(data, group) <= (0 if proof.exact_bits else 1e-5)
    return " ".join([proof.outcome, *proof.reasons])


# --- what rotates -------------------------------------------------------------------------------

POINTWISE = [
    "Abs(f)",
    "Clip(f, HALF)",
    "Elu(f)",
    "Erf(f)",
    "LeakyRelu<alpha = 0.1>(f)",
    "Neg(f)",
    "PRelu(f, TIED_PLANES)",
    "Pow(f, TWO)",
    "Relu(f)",
    "Round(f)",
    "Selu(f)",
    "Sigmoid(f)",
    "Softplus(f)",
    "Tanh(f)",
    "Add(f, TIED_PLANES)",
    "Div(f, TIED_PLANES)",
    "Max(f, TIED_PLANES)",
    "Mul(f, HALF)",
    "Sub(TIED_PLANES, f)",
    "Sum(f, f, TIED_PLANES)",
    "Mul(f, f)",
    "Dropout(f)",
    "BatchNormalization(f, TIED, TIED, TIED, TIED)",
    "InstanceNormalization(f, TIED, TIED)",
    "Softmax<axis = 1>(f)",
    "LogSoftmax<axis = 1>(f)",
    "LpNormalization<axis = 1>(f)",
    "Transpose<perm = [0, 1, 3, 2]>(f)",
]


def test_entrywise_operators_are_followed() -> None:
    for node in POINTWISE:
        data = model(f"{START} y = {node} {END}", TWO=np.float32(2))
        assert outcome(data).startswith("PROVED All"), node


@pytest.mark.parametrize(("groups", "whole"), [(1, True), (2, True), (4, False), (8, True)])
def test_groups_of_channels_that_part_an_orbit_are_not_proved(groups: int, whole: bool) -> None:
    body = f"y = GroupNormalization<num_groups = {groups}>(f, TIED, TIED)"
    data = model(f"{START} {body} {END}")
    assert outcome(data).startswith("PROVED All" if whole else "NOT PROVED")
    assert (deviation(data, "C4") > 1e-4) != whole


MIDDLES = {
    "group convolution": "y = Conv<pads = [1, 1, 1, 1]>(f, GROUP, TIED)",
    "stride": "y = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(f, GROUP)",
    "dilation": "y = Conv<dilations = [2, 2]>(f, GROUP)",
    "auto_pad": 'y = Conv<auto_pad = "SAME_UPPER">(f, GROUP)',
    "max pool": "y = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(f)",
    "ceil_mode without effect": "y = MaxPool<kernel_shape = [3, 3], ceil_mode = 1>(f)",
    "average pool": "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(f)",
    "norm pool": "y = LpPool<kernel_shape = [3, 3], strides = [2, 2]>(f)",
    "pad": "p = Pad(f, AROUND) y = Conv(p, GROUP)",
    "reflect": 'p = Pad<mode = "reflect">(f, AROUND) y = Conv(p, GROUP)',
    "folded": "k = Div(HALF, TIED_PLANES) l = Unsqueeze(k, ZERO) y = Add(f, l)",
    "residual": "c = Conv<pads = [1, 1, 1, 1]>(f, GROUP) y = Add(f, c)",
    "gate": "c = Conv<pads = [1, 1, 1, 1]>(f, GROUP) d = Sigmoid(c) y = Mul(f, d)",
    "squeeze and excite": "a = GlobalAveragePool(f) b = Sigmoid(a) y = Mul(f, b)",
    "nearest": 'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric",'
    ' nearest_mode="floor">(f, , TWICE)',
    "linear": 'y = Resize<mode = "linear">(f, , TWICE)',
    "split": "a, b = Split<axis = 1, num_outputs = 2>(f) y = Concat<axis = 1>(b, a)",
    "half precision": "a = Cast<to = 10>(f) c = Conv(a, GROUP16, TIED16) y = Cast<to = 1>(c)",
    "rank 5": "g = Reshape(f, FIVE) r = ReduceMax<keepdims=1>(g, LAST) t = Add(g, r)"
    " y = Reshape(t, FOUR)",
    "shape of the batch": "h = Shape<end = 1>(f) j = Concat<axis = 0>(h, REST) g = Reshape(f, j)"
    " r = Relu(g) y = Reshape(r, FOUR)",
    "whole reversal": "r = Slice(f, LASTPIXELS, BEFORE, GRID, BACK) y = Relu(r)",
    "products of tensors": "p = Reshape(f, ROWS) t = Transpose<perm = [0, 2, 1]>(p)"
    " q = MatMul(t, p) v = MatMul(q, t) w = Transpose<perm = [0, 2, 1]>(v) y = Reshape(w, FOUR)",
    "channels last": "t = Transpose<perm = [0, 2, 3, 1]>(f) u = MatMul(t, MIXING)"
    " y = Transpose<perm = [0, 3, 1, 2]>(u)",
}
MORE = {
    "ZERO": np.array([0]),
    "GROUP16": (GROUP / 64).astype(np.float16),
    "TIED16": TIED.astype(np.float16),
    "AROUND": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "TWICE": np.array([1, 1, 2, 2], np.float32),
    "FIVE": np.array([0, FIELDS, 4, SIZE, SIZE]),
    "ROWS": np.array([0, CHANNELS, -1]),
    "MIXING": GROUP[:, :, 1, 1].T,
    "FOUR": np.array([0, CHANNELS, SIZE, SIZE]),
    "REST": np.array([FIELDS, 4, SIZE, SIZE]),
    "LASTPIXELS": np.array([-1, -1]),
    "BEFORE": np.array([-(2**40), -(2**40)]),
    "BACK": np.array([-1, -1]),
}


def test_layers_are_followed() -> None:
    for middle in MIDDLES:
        body = START + " " + MIDDLES[middle]
        assert outcome(model(f"{body} {END}", opset=18, **MORE)).startswith("PROVED All"), middle


HEADS = {
    "mean": "m = ReduceMean<keepdims = 0>(f, GRID) logits = MatMul(m, REPEATED)",
    "sum": "m = ReduceSum<keepdims = 0>(f, GRID) logits = Gemm(m, REPEATED)",
    "norm": "m = ReduceL2<keepdims = 0>(f, GRID) logits = Gemm(m, REPEATED)",
    "product": "a = Tanh(f) m = ReduceProd<keepdims = 0>(a, GRID) logits = Gemm(m, REPEATED)",
    "global norm": "a = GlobalLpPool(f) m = Flatten(a) logits = Gemm(m, REPEATED)",
    "all at once": "a = ReduceLogSumExp<keepdims = 0>(f, ALL) logits = Unsqueeze(a, ONE)",
    "pool over channels": "u = Unsqueeze(f, ONE)"
    " v = MaxPool<kernel_shape = [4, 1, 1], strides = [4, 1, 1]>(u) w = Squeeze(v, ONE)"
    " m = GlobalMaxPool(w) n = Flatten(m) logits = MatMul(n, HEAD)",
    "sorted": "m = GlobalMaxPool(f) n = Flatten(m) logits, places = TopK(n, THREE)",
    "first class": "m = GlobalMaxPool(f) n = Flatten(m) g = MatMul(n, REPEATED)"
    " a = ArgMax<axis = 1>(g) logits = Cast<to = 1>(a)",
    "normalised": "m = GlobalMaxPool(f) n = Flatten(m) g = LayerNormalization(n, ALLONE)"
    " logits = Gemm(g, REPEATED)",
}


def test_heads_are_followed() -> None:
    for head in HEADS:
        constants = {
            "REPEATED": HEAD.repeat(4, axis=0),
            "ALL": np.array([1, 2, 3]),
            "ALLONE": np.ones(CHANNELS, np.float32),
            "THREE": np.array([3]),
        }
        data = model(f"{START} {HEADS[head]}", opset=18, **constants)
        assert outcome(data).startswith("PROVED All"), head


# --- integers ---------------------------------------------------------------------------------

BYTES = {
    "W8": LIFT.astype(np.int8),
    "G8": GROUP.astype(np.int8),
    "S": np.float32(0.03),
    "SF": np.repeat(np.array([0.02, 0.05], np.float32), 4),
    "ONES": np.float32(1),
    "SB": np.repeat(np.array([0.03 * 0.02, 0.03 * 0.05], np.float32), 4),
    "ZU": np.uint8(3),
    "Z0": np.uint8(0),
    "Z8": np.int8(0),
    "ZF": np.zeros(CHANNELS, np.int8),
    "B32": TIED.astype(np.int32),
    "H8": HEAD.astype(np.int8),
}
QDQ = (
    "x = DequantizeLinear(image, S, ZU) w = DequantizeLinear<axis = 0>(W8, SF, ZF)"
    " b = DequantizeLinear<axis = 0>(B32, SB)"
    " c = Conv<pads = [1, 1, 1, 1]>(x, w, b) r = Relu(c) q = QuantizeLinear(r, S, Z0)"
    " d = DequantizeLinear(q, S, Z0) v = DequantizeLinear<axis = 0>(G8, SF, ZF)"
    " e = Conv(d, v) t = QuantizeLinear(e, S, ZU) y = DequantizeLinear(t, S, ZU) "
)
QLINEAR = (
    "c = QLinearConv<pads = [1, 1, 1, 1]>(image, S, ZU, W8, SF, ZF, S, ZU, B32)"
    " e = QLinearConv(c, S, ZU, G8, SF, ZF, S, ZU) m = MaxPool<kernel_shape = [5, 5]>(e)"
    " s = Reshape(m, FIELDED) o = ReduceMax<keepdims = 0>(s, LAST)"
    " h = QLinearMatMul(o, S, ZU, H8, ONES, Z8, S, ZU) logits = DequantizeLinear(h, S, ZU)"
)
INTEGER = (
    "c = ConvInteger<pads = [1, 1, 1, 1]>(image, W8, ZU) x = Cast<to = 1>(c)"
    " k = Clip(x, LOW, HIGH) u = Cast<to = 2>(k) e = ConvInteger(u, G8) y = Cast<to = 1>(e)"
    " m = GlobalMaxPool(y) s = Reshape(m, FIELDED) o = ReduceMax<keepdims = 0>(s, LAST)"
    " q = QuantizeLinear(o, S, ZU) h = MatMulInteger(q, H8, ZU) logits = Cast<to = 1>(h)"
)
WHOLE = f"{START} r = Round(f) l = Clip(r, LOW, HIGH) y = Conv(l, GROUP) {END}"
ENDS = {"LOW": np.float32(0), "HIGH": np.float32(255)}


def test_integer_networks_are_proved_to_the_bit() -> None:
    for body, arithmetic in [
        (QDQ + END, "quantised"),
        (QLINEAR, "integer"),
        (INTEGER, "integer"),
        (WHOLE, "integer"),
    ]:
        data = model(body, **BYTES, **ENDS)
        proof = prove(data, "C4")
        assert (proof.outcome, proof.arithmetic) == ("PROVED", arithmetic), proof.reasons
        assert proof.exact_bits == (arithmetic == "integer")
        assert deviation(data, "C4") == 0


def test_whole_floats_beyond_their_significand_are_not_exact() -> None:
    """A sum of more than 2^24 is rounded, in an order that rotates with the image."""
    proof = prove(model(WHOLE, **ENDS, GROUP=GROUP * 2**10), "C4")
    assert (proof.outcome, proof.exact_bits) == ("PROVED", False)
    fractions = prove(model(WHOLE, **ENDS, GROUP=GROUP + np.float32(0.5)), "C4")
    assert (fractions.outcome, fractions.exact_bits) == ("PROVED", False)


def test_integer_mutants_are_refused() -> None:
    for name, value in [
        ("SF", np.linspace(0.01, 0.05, CHANNELS, dtype=np.float32)),
        ("ZF", np.eye(1, CHANNELS, dtype=np.int8)[0]),
        ("B32", 100 * np.arange(CHANNELS, dtype=np.int32)),
        ("W8", np.roll(LIFT, 1, axis=2).astype(np.int8)),
        ("G8", (GROUP + 99 * np.eye(1, GROUP.size).reshape(GROUP.shape)).astype(np.int8)),
    ]:
        data = model(QLINEAR, **{**BYTES, name: value})
        assert prove(data, "C4").outcome == "NOT PROVED"
        if name != "ZF":  # which onnxruntime refuses for int8 weights
            assert deviation(data, "C4") > 0


# --- what does not rotate -----------------------------------------------------------------------

REFUSED = {
    "unknown": ("y = Det(f) " + END, "Det.*does not know"),
    "random": ("r = RandomNormalLike(f) y = Add(f, r) " + END, "Random.*does not know"),
    "random constant": (
        "r = RandomNormal<shape = [1]>() y = Add(f, r) " + END,
        "computes constants",
    ),
    "batch mean": ("b = ReduceMean(f, ZERO) y = Sub(f, b) " + END, "across the images of a batch"),
    "all mean": ("b = ReduceMean(f) y = Sub(f, b) " + END, "all images of a batch"),
    "batch softmax": ("y = Softmax<axis = 0>(f) " + END, "across the images of a batch"),
    "batch transpose": ("y = Transpose<perm = [1, 0, 2, 3]>(f) " + END, "images of a batch"),
    "batch reshape": ("a = Reshape(f, MERGED) y = Reshape(a, APART) " + END, "not kept apart"),
    "batch slice": ("y = Slice(f, ZERO, ONE, ZERO) " + END, "across the images of a batch"),
    "batch statistics": (
        "y, p, q = BatchNormalization<training_mode = 1>(f, TIED, TIED, TIED, TIED) " + END,
        "statistics of the batch",
    ),
    "batch broadcast": ("r = ReduceMax<keepdims = 0>(f, GRID) y = Mul(f, r) " + END, "could meet"),
    "batch scale": ("q, u, z = DynamicQuantizeLinear(f) y = Cast<to = 1>(q) " + END, "not know"),
    "rounded up": (
        "y = MaxPool<kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1>(f) " + END,
        "ceil_mode",
    ),
    "one-sided padding": ("y = Conv<pads = [1, 1, 0, 0]>(f, GROUP) " + END, "stride and padding"),
    "stride": ("y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(f) " + END, "windows"),
    "oblong stride": ("y = Conv<strides = [2, 1]>(f, GROUP) " + END, "windows"),
    "reversed filters": ("y = Conv(f, SWAPPED) " + END, "no filter equal to its filter"),
    "bias": ("y = Conv(f, GROUP, COUNTED) " + END, "no filter equal to its filter"),
    "constants": ("y = Add(f, COUNTED_PLANES) " + END, "Add.*constants that differ"),
    "part of an orbit": (
        "g = Gather<axis = 1>(f, PART) m = GlobalMaxPool(g) n = Flatten(m) logits = Gemm(n, HEAD)",
        "Gather.*part of the entries",
    ),
    "wrong blocks": (
        "m = GlobalMaxPool(f) s = Reshape(m, WRONG) o = ReduceMax<keepdims = 0>(s, ONE)"
        " logits = Identity(o)",
        "in another order|blocks of entries",
    ),
    "bounds exchanged": (
        "a = Clip(f, HALF) b = Clip(f, , HALF) c = Gather<axis = 1>(a, EVEN)"
        " d = Gather<axis = 1>(b, ODD) e = Concat<axis = 1>(c, d)"
        " logits = ReduceMean<keepdims = 0>(e, GRID_AND_CHANNELS)",
        "",
    ),
    "no pooling": ("a = Flatten(f) logits = Gemm(a, DENSE)", "Gemm.*no filter equal"),
    "classes exchanged": ("m = GlobalMaxPool(f) logits = Flatten(m)", "in another order"),
    "order": (
        "m = GlobalMaxPool(f) n = Flatten(m) a = ArgMax<axis = 1>(n) logits = Cast<to = 1>(a)",
        "ArgMax.*order of entries",
    ),
    "one axis": (
        "m = ReduceMax<keepdims = 0>(f, LAST) logits = ReduceMax<keepdims=0>(m, LAST)",
        "",
    ),
    "branches": ("t = Transpose<perm = [0, 1, 3, 2]>(f) y = Add(f, t) " + END, ""),
}


def test_what_does_not_rotate_is_refused_and_says_why() -> None:
    for case in REFUSED:
        body, sentence = REFUSED[case]
        constants = {
            "ZERO": np.array([0]),
            "MERGED": np.array([2, -1]),
            "APART": np.array([-1, CHANNELS, SIZE, SIZE]),
            "EVEN": np.arange(0, CHANNELS, 2),
            "ODD": np.arange(1, CHANNELS, 2),
            "GRID_AND_CHANNELS": np.array([1, 2, 3]),
            "SWAPPED": GROUP[:, np.arange(CHANNELS) ^ 1],
            "COUNTED": np.arange(CHANNELS, dtype=np.float32),
            "COUNTED_PLANES": np.arange(CHANNELS, dtype=np.float32).reshape(-1, 1, 1),
            "PART": np.array([0, 1]),
            "WRONG": np.array([0, 4, FIELDS]),
            "DENSE": rng.standard_normal((CHANNELS * SIZE**2, 3)).astype(np.float32),
        }
        proof = prove(model(f"{START} {body}", opset=18, **constants), "C4")
        assert proof.outcome == "NOT PROVED"
        assert re.search(sentence, proof.reasons[0]), proof.reasons
        assert proof.obstacle is not None
        assert proof.obstacle.reason in proof.reasons[0]


def test_images_that_cannot_be_rotated_are_refused() -> None:
    data = model(f"{START} y = Relu(f) {END}", size=(SIZE, SIZE + 2))
    assert "NOT PROVED The file takes images of 7 x 9 pixels" in outcome(data)
    assert outcome(data, "C2").startswith("PROVED All")


def test_what_is_no_onnx_file_is_an_error() -> None:
    whole = model(f"{START} y = Relu(f) {END}")
    proto = onnx.load_model_from_string(whole)
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "weights.bin")
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].data_location = TensorProto.EXTERNAL
    for data in (b"", b"PK\x03\x04", whole[: len(whole) // 2], proto.SerializeToString()):
        with pytest.raises(ValueError, match=r"file .*accepted|valid ONNX file"):
            prove(data, "C4")
    with pytest.raises(ValueError, match="rotates no image exactly"):
        prove(whole, "C3")


def test_an_image_that_is_answered_as_it_is_rotates() -> None:
    text = """
        <ir_version: 9, opset_import: ["" : 21]>
        network (float[N, 1, 4, 4] image) => (float[N, 1, 4, 4] image) { unused = Relu(image) }
    """
    proof = prove(onnx.parser.parse_model(text).SerializeToString())
    assert proof.outcome == "NOT PROVED"


def test_a_second_input_is_refused() -> None:
    proto = onnx.load_model_from_string(model(f"{START} y = Relu(f) {END}"))
    proto.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N"]))
    proof = prove(proto.SerializeToString(), "C4")
    assert proof.reasons == (
        "The file takes the inputs 'image', 'other', and one input [N, C, H, W] is followed.",
    )


def test_the_statistics_of_old_batch_normalisation_are_those_of_the_batch() -> None:
    """Before version 14, further outputs meant training."""
    body = "y, p, q, r, s = BatchNormalization(f, TIED, TIED, TIED, TIED) logits = Flatten(y)"
    assert "statistics of the batch" in outcome(model(f"{START} {body}", opset=13))


def test_old_operators_keep_their_old_meaning() -> None:
    """Before version 13 of the operators, axes were attributes and softmax took all that follow."""
    body = f"{START} a = Softmax<axis = 1>(f) logits = Squeeze<axes = [0]>(a)"
    assert "across the images of a batch" in outcome(model(body, opset=11))
    head = "m = ReduceSum<axes = [2, 3], keepdims = 0>(a) logits = Gemm(m, R, B)"
    body = f"{START} a = Softmax<axis = 1>(f) {head}"
    data = model(body, opset=11, R=HEAD.repeat(4, axis=0), B=np.zeros(3, np.float32))
    assert outcome(data).startswith("PROVED All")


# --- choices ----------------------------------------------------------------------------------


def test_duplicated_filters_leave_no_wrong_choice() -> None:
    """Two fields hold the same filters, and the layers that follow tell them apart.

    Which copy a rotated filter is matched with is free in the first layer, and not in what follows.
    """
    twice = np.concatenate([LIFT[:4], LIFT[:4]])
    order = rng.permutation(CHANNELS)
    body = (
        "x = Cast<to = 1>(image) f = Conv<pads = [1, 1, 1, 1]>(x, TWICE)"
        " g = Conv<pads = [1, 1, 1, 1]>(f, MIXED) a = Add(f, g) y = Gather<axis = 1>(a, BACK) "
        + END
    )
    mixed = GROUP[np.ix_(order, order)]
    constants = {"TWICE": twice[order], "MIXED": mixed, "BACK": np.argsort(order)}
    assert outcome(model(body, **constants)).startswith("PROVED All")
    changed = mixed.copy()
    changed[0, 0, 0, 0] += 1
    broken = model(body, **{**constants, "MIXED": changed})
    assert prove(broken, "C4").outcome == "NOT PROVED"
    assert deviation(broken, "C4") > 1e-4


def test_mirror_images_are_proved_for_d4_alone() -> None:
    data = model(f"{START} y = Relu(f) {END}")
    assert outcome(data, "C4").startswith("PROVED All")
    assert outcome(data, "D4").startswith("NOT PROVED")
    both = np.concatenate([LIFT[:4], LIFT[:4, :, :, ::-1]])
    body = "x = Cast<to = 1>(image) f = Conv(x, BOTH) m = GlobalMaxPool(f) n = Flatten(m) logits ="
    body += " ReduceMax<keepdims = 1>(n, ONE)"
    mirrored = model(body, BOTH=both)
    assert outcome(mirrored, "D4").startswith("PROVED All")
    assert outcome(mirrored, "D8").startswith("PROVED All")
    assert "D4 is the part of D8" in outcome(mirrored, "D8")


def test_a_tensor_may_rotate_in_its_own_way() -> None:
    """After a transposition, a quarter turn of the image rotates the tensor the other way round."""
    for quarters in range(4):
        g = GridSymmetry(False, quarters)
        filters = np.stack([g(BASE), g(BASE)], axis=1).reshape(-1, 1, 3, 3) + LIFT[:4].sum()
        symmetric = sum((GridSymmetry(False, k)(filters) for k in range(4)), np.zeros_like(filters))
        body = (
            "x = Cast<to = 1>(image) t = Transpose<perm = [0, 1, 3, 2]>(x) f = Conv(t, ISOTROPIC)"
            " c = Conv(t, LIFT) m = GlobalMaxPool(f) l = GlobalMaxPool(c) p = ReduceMax(l, ONE)"
            " s = Add(m, p) logits = Flatten(s)"
        )
        assert outcome(model(body, ISOTROPIC=symmetric)).startswith("PROVED All")
