"""Averages over branches that are not followed inside: rows of a batch, windows of no known rule.

What has to be known of a branch is that it gives each image what it would give it alone. Whatever
lets the images of a batch meet, or draws at random, is refused, as is a branch unlike the others.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from audit.proof import Proof, prove
from export.onnx_import.symmetrise import symmetrise
from tests.audit.force import deviates
from tests.audit.fuzz.judge import run_alone

CONSTANTS: Final[dict[str, Any]] = {
    "PERCENT": np.float32(0.01),
    "FACTORS": np.linspace(0.5, 2, 64, dtype=np.float32).reshape(1, 4, 4, 4),
    "HEAD": np.linspace(-1, 1, 192, dtype=np.float32).reshape(64, 3) ** 3,
    "SHORT_HEAD": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3) ** 3,
    "FOUR": np.array([0.5, 0.7, 0.9, 1.1], np.float32),
    "FILTERS": np.linspace(-1, 2, 144, dtype=np.float32).reshape(4, 4, 3, 3) ** 2,
    "IMAGES": np.array([-1, 4, 4, 4]),
    "ROWS": np.array([-1, 4]),
    "PATCHES": np.array([-1, 2, 2, 2]),
    "SQUARES": np.array([-1, 4, 4]),
    "FLAT": np.array([-1, 64]),
    "SIXTEEN": np.array([16, -1, 4]),
    "ZERO": np.array([0]),
    "FIRST": np.array([0]),
    "ONE": np.array([1]),
    "ENTRIES": np.array([64]),
    "ENTRIES32": np.array([64], np.int32),
    "MANY32": np.array([2**20], np.int32),
    "MANY": np.array([2**20]),
    "HALF": np.float32(0.5),
    "YES": np.array(True),
}
FOLLOWED: Final = {
    "rows normalised": "r = Reshape(x, ROWS) b = BatchNormalization(r, FOUR, FOUR, FOUR, FOUR)"
    " y = Reshape(b, IMAGES)",
    "rows by Flatten": "r = Flatten<axis = 2>(x) b = Softmax<axis = 1>(r) y = Reshape(b, IMAGES)",
    "patches": "r = Reshape(x, PATCHES) t = Transpose<perm = [0, 2, 1, 3]>(r)"
    " y = Reshape(t, IMAGES)",
    "attention in patches": "q = Reshape(x, SQUARES) k = Transpose<perm = [0, 2, 1]>(q)"
    " s = MatMul(q, k) p = Softmax(s) v = MatMul(p, q) y = Reshape(v, IMAGES)",
    "sizes of 32 bits": "s = Shape(x) c = Cast<to = 6>(s) n = Slice(c, ZERO, ONE)"
    " d = Cast<to = 7>(n) t = Concat<axis = 0>(d, ENTRIES) y = Reshape(x, t)",
    "transposed, SAME": 'y = ConvTranspose<auto_pad = "SAME_UPPER">(x, FILTERS)',
}
WINDOWS: Final = {
    "a window larger than the image": "y = AveragePool<kernel_shape = [9, 9], strides = [9, 9],"
    " ceil_mode = 1, count_include_pad = 1>(x)",
    "one window more than fits": "p = MaxPool<kernel_shape = [3, 3], strides = [2, 2],"
    " ceil_mode = 1>(x) y = GlobalAveragePool(p)",
}
MEETING: Final = {
    "a mean over rows": "r = Reshape(x, ROWS) m = ReduceMean(r, ZERO) d = Sub(r, m)"
    " y = Reshape(d, IMAGES)",
    "a softmax over rows": "r = Reshape(x, ROWS) d = Softmax<axis = 0>(r) y = Reshape(d, IMAGES)",
    "rows exchanged": "r = Reshape(x, ROWS) t = Transpose<perm = [1, 0]>(r) y = Reshape(t, IMAGES)",
    "rows apart": "r = Reshape(x, ROWS) t = Reshape(r, SIXTEEN) m = Transpose<perm = [2, 1, 0]>(t)"
    " y = Reshape(m, IMAGES)",
    "rows laid out by another number": "r = Reshape(x, ROWS) t = Reshape(r, SIXTEEN)"
    " b = Softmax<axis = 1>(t) y = Reshape(b, IMAGES)",
    "the first row": "r = Reshape(x, ROWS) f = Gather<axis = 0>(r, FIRST) d = Mul(r, f)"
    " y = Reshape(d, IMAGES)",
    "a slice of rows": "r = Reshape(x, ROWS) f = Slice(r, ZERO, ONE, ZERO) d = Mul(r, f)"
    " y = Reshape(d, IMAGES)",
    "as many rows as images": "s = Shape(x) n = Slice(s, ZERO, ONE) r = Reshape(x, ROWS)"
    " y = Slice(r, ZERO, n, ZERO)",
    "rows and copies": "q = Reshape(x, SQUARES) m = ReduceMax<keepdims = 0>(x, ONE)"
    " c = Concat<axis = 0>(m, m, m, m) d = Mul(q, c) y = Reshape(d, IMAGES)",
    "products of rows": "r = Reshape(x, ROWS) t = Transpose<perm = [1, 0]>(r) g = MatMul(t, r)"
    " d = MatMul(r, g) y = Reshape(d, IMAGES)",
    "statistics of a batch": "y, m, v = BatchNormalization<training_mode = 1>"
    "(x, FOUR, FOUR, FOUR, FOUR)",
    "the scale of a batch": "q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z)",
    "places in a batch": "m, i = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(x)"
    " f = Cast<to = 1>(i) y = GlobalAveragePool(f)",
}
RANDOM: Final = {
    "dropout in training": "y = Dropout(x, HALF, YES)",
    "noise": "n = RandomNormalLike(x) y = Add(x, n)",
}
DISPUTED: Final = 'y = Conv<dilations = [2, 2], auto_pad = "SAME_UPPER">(x, FILTERS)'
"""Of which onnxruntime makes another size than the standard."""
WRAPPING: Final = "s = Shape(x) c = Cast<to = 6>(s) n = Slice(c, ZERO, ONE) m = Mul(n, ENTRIES32)"
WRAPPING += " k = Cast<to = 7>(m) t = Concat<axis = 0>(k, ONE) r = Reshape(x, t)"
WRAPPING += " y = Reshape(r, IMAGES)"


def network(body: str, batch: int | str = "N") -> onnx.ModelProto:
    """Return a classifier that makes ``y`` of ``x [N, 4, 4, 4]``."""
    head = "SHORT_HEAD" if re.search(r"Global|\[9, 9\]|y = Slice", body) else "HEAD"
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
        g (uint8[{batch}, 4, 4, 4] image) => (float[{batch}, 3] logits) {{
            a = Cast<to = 1>(image) b0 = Mul(a, PERCENT) x = Mul(b0, FACTORS)
            {body} f0 = Flatten(y) logits = MatMul(f0, {head}) }}"""
    model = onnx.parser.parse_model(text)
    for name, value in CONSTANTS.items():
        if re.search(rf"\b{name}\b", text):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    for node in model.graph.node:
        node.name = node.output[0]
    return model


def average(body: str, group: str = "C4") -> onnx.ModelProto:
    return symmetrise(network(body), group)


def proof_of(model: onnx.ModelProto, group: str = "C4") -> Proof:
    return prove(model.SerializeToString(), group, runtime=run_alone)


@pytest.mark.parametrize("body", [*FOLLOWED.values(), *WINDOWS.values()], ids=[*FOLLOWED, *WINDOWS])
def test_the_average_is_proved_and_keeps_every_bit(body: str) -> None:
    averaged = average(body)
    proof = proof_of(averaged)
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "repeated"), proof.reasons
    assert deviates(averaged, "C4", 0, bits=True) is False
    assert deviates(averaged, "C4", 0, bits=True, optimised=True) is False


def test_of_a_batch_of_fixed_length_rows_are_followed_as_well() -> None:
    body = FOLLOWED["rows normalised"]
    proof = proof_of(symmetrise(network(body, 24), "D4"), "D4")
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "repeated"), proof.reasons


def _meets(model: onnx.ModelProto) -> bool:
    """Whether an image gets another answer in a batch than alone."""
    run = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 4), np.uint8)
    images[1:] //= 2
    together = run(["logits"], {"image": images})[0][1]
    alone = run(["logits"], {"image": images[1:2]})[0][0]
    return not np.allclose(together, alone, 1e-4, 1e-4)


@pytest.mark.parametrize("body", MEETING.values(), ids=MEETING)
def test_what_lets_images_of_a_batch_meet_is_refused(body: str) -> None:
    assert _meets(network(body)), "no mutant"
    assert proof_of(average(body)).outcome == "NOT PROVED"


@pytest.mark.parametrize(
    "body",
    [*RANDOM.values(), WRAPPING, DISPUTED],
    ids=[*RANDOM, "sizes that wrap", "a size in dispute"],
)
def test_what_is_no_known_function_of_the_image_is_refused(body: str) -> None:
    assert proof_of(average(body)).outcome == "NOT PROVED"


def _own_weight(model: onnx.ModelProto) -> None:
    """Give one branch a weight of its own."""
    head = next(t for t in model.graph.initializer if t.name.endswith("HEAD"))
    values = numpy_helper.to_array(head).copy()
    values[1, 2] += 0.1
    model.graph.initializer.append(numpy_helper.from_array(values, "mutant"))
    next(n for n in model.graph.node if n.name == "orbit.r90.logits").input[1] = "mutant"


def _other_turn(model: onnx.ModelProto) -> None:
    """Exchange two pixels on the way to one branch."""
    table = next(t for t in model.graph.initializer if t.name == "orbit.r90.turn")
    places = numpy_helper.to_array(table).copy()
    places[:2] = places[1::-1]
    table.CopyFrom(numpy_helper.from_array(places, table.name))


def _twice(model: onnx.ModelProto) -> None:
    """Count one branch twice, and another not at all."""
    votes = next(node for node in model.graph.node if node.name == "orbit.votes")
    votes.input[1] = votes.input[0]


def _heavier(model: onnx.ModelProto) -> None:
    """Give one branch twice the weight of the others."""
    votes = next(node for node in model.graph.node if node.name == "orbit.votes")
    place = list(model.graph.node).index(votes)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(2), "two"))
    heavier = helper.make_node("Mul", [votes.input[1], "two"], ["heavier"], name="heavier")
    votes.input[1] = "heavier"
    model.graph.node.insert(place, heavier)


UNLIKE = (_own_weight, _other_turn, _twice, _heavier)


@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        *(("rows normalised", mutate) for mutate in UNLIKE),
        *(("attention in patches", mutate) for mutate in UNLIKE[:2]),
        *((name, _own_weight) for name in WINDOWS),
    ],
)
def test_a_branch_unlike_the_others_is_refused(
    name: str, mutate: Callable[[onnx.ModelProto], None]
) -> None:
    mutant = average({**FOLLOWED, **WINDOWS}[name])
    mutate(mutant)
    proof = prove(mutant.SerializeToString(), "C4", tolerance=0, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert deviates(mutant, "C4", 0), "no mutant"


@pytest.mark.parametrize("body", WINDOWS.values(), ids=WINDOWS)
def test_a_window_of_no_known_rule_is_nothing_that_a_single_network_is_proved_by(
    body: str,
) -> None:
    proof = proof_of(network(body))
    assert proof.outcome == "NOT PROVED"


def test_without_a_runtime_that_confirms_its_shape_no_window_is_taken_for_a_function() -> None:
    averaged = average(WINDOWS["one window more than fits"])
    proof = prove(averaged.SerializeToString(), "C4")
    assert proof.outcome == "NOT PROVED"
    assert "ceil_mode" in proof.reasons[0]


def test_an_average_is_refused_for_what_stops_it_and_not_for_what_a_single_network_lacks() -> None:
    proof = proof_of(average(f"c = Conv(x, FILTERS) {RANDOM['noise']}"))
    assert proof.obstacle is not None
    assert (proof.obstacle.op, proof.obstacle.node) == (
        "RandomNormalLike",
        "orbit.identity.n",
    )


def test_a_single_network_is_refused_for_where_its_symmetry_ends() -> None:
    """And not for what stops the proof behind, though something of the kind follows there."""
    proof = proof_of(network("n = RandomNormalLike(x) m = Mul(n, FACTORS) y = Add(m, x)"))
    assert proof.obstacle is not None
    assert (proof.obstacle.op, proof.obstacle.node) == ("Mul", "x")
