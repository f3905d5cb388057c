"""Averages over an orbit, by force: random networks without a symmetry, and mutants of one branch.

Weights are small integers, so that onnxruntime sums them exactly and every deviation, however
small, is a broken symmetry. Where they are random floats, the bits themselves are compared.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from audit.proof import Proof, prove
from export.onnx_import.symmetrise import symmetrise
from imaging import grid_symmetries
from tests.audit.force import Tally, deviates, force

CLASSES, LARGEST = 3, 2**21


@dataclass
class Plain:
    """A graph under construction that knows of no group: the tensor in hand and its shape."""

    random: np.random.Generator
    channels: int
    size: int
    floats: bool = False
    tensor: str = "image"
    bound: float = 7.0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.image_channels, self.image_size = self.channels, self.size

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        self.tensor = f"t{len(self.nodes)}"
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [self.tensor], name=name, **attributes))
        return self.tensor

    def weights(self, *shape: int) -> NDArray[np.float32]:
        if self.floats:
            return self.random.standard_normal(shape, np.float32)
        kept = self.random.random(shape) < 0.5
        return (self.random.integers(-1, 2, shape) * kept).astype(np.float32)

    def convolve(self, *, depthwise: bool = False) -> None:
        kernel, stride = self.random.integers(1, 4, 2), int(self.random.integers(1, 3))
        pads = self.random.integers(0, 2, 4)
        sides = (self.size + pads[:2] + pads[2:] - kernel) // stride + 1
        if sides[0] != sides[1] or sides[0] < 1:
            return
        out = self.channels if depthwise else int(self.random.integers(1, 5))
        weights = self.weights(out, 1 if depthwise else self.channels, *kernel)
        bound = float(np.abs(weights).sum((1, 2, 3)).max()) * self.bound + 2
        if bound > LARGEST:
            return
        bias = self.weights(out)
        window = {"strides": [stride] * 2, "pads": pads.tolist(), "kernel_shape": kernel.tolist()}
        if depthwise:
            window["group"] = self.channels
        self.node("Conv", self.tensor, self.constant(weights), self.constant(bias), **window)
        self.channels, self.size, self.bound = out, int(sides[0]), bound

    def activate(self) -> None:
        kind = self.random.choice(["Relu", "Abs", "Clip", "BatchNormalization", "Add"])
        if kind == "Clip":
            self.node("Clip", self.tensor, *(self.constant(np.float32(e)) for e in (-3, 9)))
        elif kind == "BatchNormalization":
            ones, shift = np.ones(self.channels, np.float32), self.weights(self.channels)
            arrays = [self.constant(value) for value in (ones, shift, -shift, ones)]
            self.node("BatchNormalization", self.tensor, *arrays, epsilon=0.0)
            self.bound += 4
        elif kind == "Add":
            self.node("Add", self.tensor, self.constant(self.weights(self.channels, 1, 1)))
            self.bound += 2
        else:
            self.node(str(kind), self.tensor)

    def pool(self) -> None:
        if self.size > 2:
            op = self.random.choice(["MaxPool", "AveragePool"])
            window = {"kernel_shape": [2, 2], "strides": [2, 2]}
            self.node(str(op), self.tensor, **window)
            self.size //= 2

    def residual(self) -> None:
        before, weights = self.tensor, self.weights(self.channels, self.channels, 3, 3)
        bound = float(np.abs(weights).sum((1, 2, 3)).max()) * self.bound
        if bound + self.bound < LARGEST:
            after = self.node("Conv", before, self.constant(weights), pads=[1] * 4)
            self.node(str(self.random.choice(["Add", "Sub", "Max"])), before, after)
            self.bound += bound

    def concat(self) -> None:
        before = self.tensor
        self.node("Concat", before, self.node("Neg", before), axis=1)
        self.channels *= 2

    def head(self) -> None:
        features = self.channels
        if self.random.random() < 0.5:
            self.node("GlobalMaxPool", self.tensor)
        else:
            features *= self.size**2
        self.node("Flatten", self.tensor)
        arrays = self.weights(features, CLASSES), self.weights(CLASSES)
        self.node("Gemm", self.tensor, *map(self.constant, arrays))


def finished_network(network: Plain, opset: int = 17) -> onnx.ModelProto:
    nodes = [
        *network.nodes,
        helper.make_node("Identity", [network.tensor], ["logits"], name="last"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    side = network.image_size
    image = helper.make_tensor_value_info(
        "image", TensorProto.UINT8, ["N", network.image_channels, side, side]
    )
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", CLASSES])
        for name in ("logits", "probabilities")
    ]
    weights = [numpy_helper.from_array(v, n) for n, v in network.constants.items()]
    graph = helper.make_graph(nodes, "plain", [image], outputs, weights)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def plain_network(seed: int, *, floats: bool = False) -> onnx.ModelProto:
    """A classifier of small images with no symmetry by construction."""
    random = np.random.default_rng(seed)
    channels, size = int(random.choice([1, 3])), int(random.integers(4, 8))
    network = Plain(random, channels, size, floats)
    network.node("Cast", "image", to=TensorProto.FLOAT)
    network.convolve()
    steps: list[Callable[[], None]] = [
        network.activate,
        network.activate,
        network.pool,
        network.residual,
        network.concat,
        network.convolve,
        network.convolve,
        lambda: network.convolve(depthwise=True),
    ]
    for _ in range(int(random.integers(1, 6))):
        steps[random.integers(len(steps))]()
    network.head()
    return finished_network(network, opset=int(random.choice([13, 17, 19])))


# --- mutants ----------------------------------------------------------------------------------


def mutate(model: onnx.ModelProto, group: str, random: np.random.Generator) -> onnx.ModelProto:
    """Break one branch, or leave one out."""
    mutant = onnx.ModelProto()
    mutant.CopyFrom(model)
    branches = [element.name for element in grid_symmetries(group)]
    branch = f"orbit.{branches[random.integers(len(branches))]}"
    kind = random.choice(["tap", "tap", "tap", "turn", "part", "twice", "attribute", "operator"])
    {
        "tap": _change_tap,
        "turn": _rotate_wrongly,
        "part": _leave_out,
        "twice": _vote_twice,
        "attribute": _change_attribute,
        "operator": _change_operator,
    }[str(kind)](mutant.graph, branch, random)
    return mutant


def _own(graph: onnx.GraphProto, branch: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if node.name.startswith(f"{branch}.")]


def _change_tap(graph: onnx.GraphProto, branch: str, random: np.random.Generator) -> None:
    """Give a node of one branch a copy of its weights, with one number changed."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [n for n in _own(graph, branch) if n.op_type in ("Conv", "Gemm")]
    node = nodes[random.integers(len(nodes))]
    place = int(random.integers(1, len(node.input)))
    values = numpy_helper.to_array(stored[node.input[place]]).copy()
    values.reshape(-1)[random.integers(values.size)] += random.choice([-1, 1])
    graph.initializer.append(numpy_helper.from_array(values, "mutant"))
    node.input[place] = "mutant"


def _rotate_wrongly(graph: onnx.GraphProto, branch: str, random: np.random.Generator) -> None:
    """Let a branch read the image rotated by another element of D4."""
    table = next(t for t in graph.initializer if t.name == f"{branch}.turn")
    places = numpy_helper.to_array(table)
    side = int(np.sqrt(places.size))
    elements = grid_symmetries("D4")
    rotated = elements[random.integers(len(elements))](np.arange(side**2).reshape(side, side))
    wrong = np.ascontiguousarray(rotated).reshape(-1).astype(places.dtype)
    if random.random() < 0.3:
        wrong = places.copy()
        wrong[:2] = wrong[1::-1]
    table.CopyFrom(numpy_helper.from_array(wrong, table.name))


def _votes(graph: onnx.GraphProto) -> onnx.NodeProto:
    return next(node for node in graph.node if node.name == "orbit.votes")


def _leave_out(graph: onnx.GraphProto, branch: str, random: np.random.Generator) -> None:
    votes = _votes(graph)
    votes.input.remove(f"{branch}.vote")
    count = next(t for t in graph.initializer if t.name == "orbit.count")
    count.CopyFrom(numpy_helper.from_array(np.array([len(votes.input)]), count.name))
    last = next(t for t in graph.initializer if t.name == f"orbit.rank{len(votes.input)}")
    last.CopyFrom(numpy_helper.from_array(np.array(0), last.name))


def _vote_twice(graph: onnx.GraphProto, branch: str, random: np.random.Generator) -> None:
    votes = _votes(graph)
    votes.input[random.integers(len(votes.input))] = f"{branch}.vote"


def _change_attribute(graph: onnx.GraphProto, branch: str, random: np.random.Generator) -> None:
    nodes = [n for n in _own(graph, branch) if any(a.ints for a in n.attribute)]
    if nodes:
        lists = [a for a in nodes[random.integers(len(nodes))].attribute if a.ints]
        ints = lists[random.integers(len(lists))].ints
        ints[random.integers(len(ints))] += random.choice([-1, 1])


def _change_operator(graph: onnx.GraphProto, branch: str, random: np.random.Generator) -> None:
    others = {"Relu": "Abs", "Abs": "Relu", "MaxPool": "AveragePool", "Add": "Sub", "Neg": "Abs"}
    nodes = [n for n in _own(graph, branch) if n.op_type in others]
    if nodes:
        node = nodes[random.integers(len(nodes))]
        node.op_type = others[node.op_type]


# --- against what runs ------------------------------------------------------------------------


def tried(seeds: range, mutants: int) -> Tally:
    def drawn() -> Iterator[tuple[int, onnx.ModelProto, str]]:
        for seed in seeds:
            group = ("C4", "D4")[seed % 2]
            yield seed, symmetrise(plain_network(seed), group), group

    def check(seed: int, proof: Proof) -> None:
        assert proof.outcome == "PROVED", f"network {seed}: {proof.reasons}"
        assert proof.arithmetic in ("integer", "repeated"), f"network {seed}"

    return force(drawn(), mutants, mutate, check, bits=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_averages_and_mutants() -> None:
    networks = int(os.environ.get("PROOF_NETWORKS", "60"))
    tally = tried(range(1000, 1000 + networks), mutants=4)
    print(tally)
    assert tally.deviating > 1.5 * networks


@pytest.mark.slow
@pytest.mark.parametrize("optimised", [False, True])
def test_of_an_average_of_rounded_sums_every_bit_stays(optimised: bool) -> None:
    repeated = 0
    for seed in range(20):
        group = ("C4", "D4")[seed % 2]
        model = symmetrise(plain_network(seed, floats=True), group)
        proof = prove(model.SerializeToString(), group)
        assert proof.outcome == "PROVED", proof.reasons
        # A network that first takes the maximum over all pixels rounds nothing that rotates.
        assert proof.arithmetic in ("repeated", "integer")
        repeated += proof.arithmetic == "repeated"
        assert not deviates(model, group, seed, bits=True, optimised=optimised)
    assert repeated > 15


def unsorted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Average without sorting before: the same in real arithmetic, in another order."""
    mutant = onnx.ModelProto()
    mutant.CopyFrom(model)
    mean = next(node for node in mutant.graph.node if node.name == "orbit.mean")
    axes = numpy_helper.from_array(np.array([1]), "axes")
    mutant.graph.initializer.append(axes)
    inputs, outputs = ["orbit.votes", axes.name], ["logits"]
    mean.CopyFrom(helper.make_node("ReduceSum", inputs, outputs, name="sum", keepdims=0))
    return mutant


@pytest.mark.slow
def test_without_sorting_the_average_is_proved_and_its_bits_are_not() -> None:
    moved = 0
    for seed in range(12):
        mutant = unsorted(symmetrise(plain_network(seed, floats=True), "D4"))
        proof = prove(mutant.SerializeToString(), "D4")
        assert proof.outcome == "PROVED"
        assert proof.arithmetic in ("float", "integer")
        moved += bool(deviates(mutant, "D4", seed, bits=True))
    assert moved > 3


def test_an_obstacle_names_the_first_node_that_no_branch_repeats() -> None:
    model = symmetrise(plain_network(0), "C4")
    _change_tap(model.graph, "orbit.r180", np.random.default_rng(0))
    proof = prove(model.SerializeToString(), "C4")
    assert proof.obstacle is not None
    changed = next(n for n in model.graph.node if "mutant" in n.input)
    assert proof.obstacle.node.rpartition(".")[2] == changed.name.rpartition(".")[2]


def near(kernel: NDArray[np.float32]) -> bytes:
    """One filter as large as the image, applied to its four rotated copies, each an output."""
    nodes, outputs, tables = [], [], []
    for k in range(4):
        places = np.ascontiguousarray(np.rot90(np.arange(9).reshape(3, 3), k)).reshape(-1)
        tables.append(numpy_helper.from_array(places, f"turn{k}"))
        nodes += [
            helper.make_node("Gather", ["row", f"turn{k}"], [f"turned{k}"], axis=2),
            helper.make_node("Reshape", [f"turned{k}", "plane"], [f"image{k}"]),
            helper.make_node("Conv", [f"image{k}", "kernel"], [f"y{k}"]),
        ]
        outputs.append(helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, ["N", 1, 1, 1]))
    start = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["x", "flat"], ["row"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 3, 3])
    tables.append(numpy_helper.from_array(kernel, "kernel"))
    for name, shape in (("flat", [0, 1, 9]), ("plane", [0, 1, 3, 3])):
        tables.append(numpy_helper.from_array(np.array(shape), name))
    graph = helper.make_graph([*start, *nodes], "near", [image], outputs, tables)
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def test_a_bound_holds_on_every_branch_of_a_network_that_ties_nearly() -> None:
    """What one branch took for equal must not pass for equal on the next."""
    kernel = np.ones((1, 1, 3, 3), np.float32)
    kernel[0, 0, 0, 0] += 2**-18
    data = near(kernel)
    residual = prove(data, "C4").residual
    assert residual is not None
    white = np.zeros((1, 1, 3, 3), np.uint8)
    white[0, 0, 0, 0] = 128
    run = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run
    names = [f"y{k}" for k in range(4)]
    answers = np.stack(
        [
            np.concatenate(run(names, {"image": np.ascontiguousarray(np.rot90(white, k, (2, 3)))}))
            for k in range(4)
        ]
    )
    for name, values in zip(names, answers.reshape(4, 4).T, strict=True):
        moved = float(values.max()) - float(values.min())
        assert moved == 128 * 2**-18
        assert residual.deviation[name] >= moved


def test_branches_side_by_side_do_not_make_bits_equal_by_themselves() -> None:
    """A convolution that is equivariant in real arithmetic rounds otherwise for a rotated image."""
    base = np.random.default_rng(0).standard_normal((1, 1, 3, 3)).astype(np.float32)
    kernel = np.concatenate([np.rot90(base, k, (2, 3)) for k in range(4)])
    network = Plain(np.random.default_rng(0), 1, 7, floats=True)
    network.node("Cast", "image", to=TensorProto.FLOAT)
    network.node("Conv", network.tensor, network.constant(kernel))
    network.node("GlobalMaxPool", network.tensor)
    network.node("ReduceMax", network.tensor, axes=[1, 2, 3], keepdims=0)
    network.node("Reshape", network.tensor, network.constant(np.array([-1, 1])))
    head = network.weights(1, CLASSES)
    network.node("MatMul", network.tensor, network.constant(head))
    model = symmetrise(finished_network(network), "C4")
    assert prove(model.SerializeToString(), "C4").arithmetic == "repeated"
    model.graph.output[1].CopyFrom(model.graph.output[0])
    model.graph.output[1].name = "orbit.identity.logits"
    proof = prove(model.SerializeToString(), "C4")
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "float")
    run = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run
    images = np.random.default_rng(1).integers(0, 256, (64, 1, 7, 7), np.uint8)
    rotated = np.ascontiguousarray(np.rot90(images, 1, (2, 3)))
    average, branch = (
        np.array_equal(run([name], {"image": images})[0], run([name], {"image": rotated})[0])
        for name in ("logits", "orbit.identity.logits")
    )
    assert average
    assert not branch
