"""The proof by force: random networks, invariant by construction, and mutants of them.

All weights are small integers, so that onnxruntime sums them exactly and every deviation, however
small, is a broken symmetry. Whatever is PROVED must not deviate in a single bit.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from audit.proof import Proof
from imaging import GridSymmetry, grid_symmetries
from tests.audit.force import Tally, force

Ints = NDArray[np.int64]
CLASSES, LARGEST = 3, 2**23


@dataclass(frozen=True)
class Field:
    """How a group permutes channels: ``(g . F)[c] = g(F[moves[g][c]])``."""

    moves: dict[GridSymmetry, Ints]

    @property
    def channels(self) -> int:
        return len(next(iter(self.moves.values())))

    def __add__(self, other: "Field") -> "Field":
        return Field(
            {g: np.append(m, other.moves[g] + len(m)) for g, m in self.moves.items()},
        )

    def reordered(self, order: Ints) -> "Field":
        """The field of the channels ``order``."""
        return Field({g: np.argsort(order)[m[order]] for g, m in self.moves.items()})


def cosets(group: str, subgroup: str) -> Field:
    """Functions on the cosets of a subgroup: regular for the trivial one, scalar for the whole."""
    elements, small = grid_symmetries(group), grid_symmetries(subgroup)
    names = sorted({min(k @ h for h in small) for k in elements})
    return Field(
        {
            g: np.array([names.index(min(g.inverse() @ k @ h for h in small)) for k in names])
            for g in elements
        }
    )


@dataclass
class Network:
    """A graph under construction: the tensor in hand, how it rotates, how large it can get."""

    random: np.random.Generator
    group: str
    size: int
    field: Field
    tensor: str = "image"
    bound: float = 7.0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    integer: bool = True

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> None:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{op}{name}", **attributes))
        self.tensor = name

    def chance(self, part: float) -> bool:
        return bool(self.random.random() < part)

    def pick(self, *choices: Any) -> Any:
        return choices[self.random.integers(len(choices))]

    # --- equivariant pieces -------------------------------------------------------------------

    def new_field(self) -> Field:
        subgroups = {"C4": ["trivial", "trivial", "C2", "C4"], "D4": ["trivial", "C4", "D4", "D1"]}
        found = cosets(self.group, self.pick(*subgroups[self.group]))
        for _ in range(self.random.integers(1, 3)):
            found = found + cosets(self.group, self.pick(*subgroups[self.group]))
        return found.reordered(self.random.permutation(found.channels))

    def tied(self, out: Field, kernel: int) -> Ints:
        """Random integer filters, summed over the group so that they rotate as the fields do."""
        shape = (out.channels, self.field.channels, kernel, kernel)
        raw = self.random.integers(-1, 2, shape) * (self.random.random(shape) < 0.4)
        return sum(
            (g(raw[m][:, self.field.moves[g]]) for g, m in out.moves.items()), np.zeros_like(raw)
        )

    def tied_values(self, out: Field) -> Ints:
        raw = self.random.integers(-2, 3, out.channels)
        return sum((raw[m] for m in out.moves.values()), np.zeros_like(raw))

    def window(self) -> tuple[dict[str, Any], int] | None:
        """A window that keeps the symmetry, or (rarely) one that need not; the size after it."""
        for _ in range(20):
            kernel, stride = int(self.random.integers(1, 4)), int(self.random.integers(1, 3))
            pad, dilation = int(self.random.integers(0, 2)), int(self.random.integers(1, 3))
            spare = self.size + 2 * pad - (kernel - 1) * dilation - 1
            fits = pad < kernel and self.size >= dilation and spare >= 0
            if fits and (spare % stride == 0 or self.chance(0.03)):
                window = {
                    "kernel_shape": [kernel] * 2,
                    "strides": [stride] * 2,
                    "pads": [pad] * 4,
                    "dilations": [dilation] * 2,
                }
                return window, spare // stride + 1
        return None

    def convolve(self, out: Field) -> None:
        found = self.window()
        if found is None:
            return
        window, size = found
        weights = self.tied(out, window["kernel_shape"][0])
        bias = self.tied_values(out)
        bound = float((np.abs(weights).sum((1, 2, 3)) * self.bound + np.abs(bias)).max())
        if bound > LARGEST:
            return
        if self.integer and self.chance(0.6) and np.abs(weights).max() < 128:
            self.node("ConvInteger", self.tensor, self.constant(weights.astype(np.int8)), **window)
            self.node("Cast", self.tensor, to=TensorProto.FLOAT)
            self.node("Add", self.tensor, self.constant(bias.reshape(-1, 1, 1).astype(np.float32)))
        else:
            self.floating()
            arrays = weights.astype(np.float32), bias.astype(np.float32)
            self.node("Conv", self.tensor, *map(self.constant, arrays), **window)
        self.field, self.bound, self.size, self.integer = out, bound, size, False

    def floating(self) -> None:
        if self.integer:
            self.node("Cast", self.tensor, to=TensorProto.FLOAT)
            self.integer = False

    def depthwise(self) -> None:
        self.floating()
        found = self.window()
        if found is None:
            return
        window, size = found
        raw = self.random.integers(-1, 2, (self.field.channels, 1, *window["kernel_shape"]))
        taps = sum((g(raw[m]) for g, m in self.field.moves.items()), np.zeros_like(raw))
        bound = float(np.abs(taps).sum((1, 2, 3)).max()) * self.bound
        if bound > LARGEST:
            return
        weights = self.constant(taps.astype(np.float32))
        self.node("Conv", self.tensor, weights, group=self.field.channels, **window)
        self.bound, self.size = bound, size

    def activate(self) -> None:
        self.floating()
        kind = self.pick("Relu", "Clip", "Abs", "scale", "BatchNormalization")
        if kind == "Clip":
            ends = [self.constant(np.float32(end)) for end in (-3, 9)]
            self.node("Clip", self.tensor, *ends)
            self.bound = min(self.bound, 9.0)
        elif kind == "scale":
            values = self.tied_values(self.field).reshape(-1, 1, 1).astype(np.float32)
            self.node(self.pick("Add", "Sub"), self.tensor, self.constant(values))
            self.bound += float(np.abs(values).max())
        elif kind == "BatchNormalization":
            shift, mean = (self.tied_values(self.field).astype(np.float32) for _ in range(2))
            ones = np.ones_like(mean)
            arrays = [self.constant(value) for value in (ones, shift, mean, ones)]
            self.node("BatchNormalization", self.tensor, *arrays, epsilon=0.0)
            self.bound += float(np.abs(shift).max() + np.abs(mean).max())
        else:
            self.node(kind, self.tensor)

    def requantise(self) -> None:
        if not self.integer:
            self.node("Clip", self.tensor, *(self.constant(np.float32(end)) for end in (0, 7)))
            self.node("Cast", self.tensor, to=TensorProto.UINT8)
            self.bound, self.integer = min(self.bound, 7.0), True

    def pool(self) -> None:
        self.floating()
        average = self.bound < 2**12 and self.chance(0.4)
        found = self.window()
        if found is None or (average and found[0]["kernel_shape"][0] == 3):
            return  # ninths are no sums of powers of two
        window, self.size = found
        if average:
            counted = int(self.chance(0.5))
            self.node("AveragePool", self.tensor, count_include_pad=counted, **window)
        else:
            self.node("MaxPool", self.tensor, **window)

    def residual(self) -> None:
        self.floating()
        before, size = self.tensor, self.size
        if self.bound < 2**14:
            bound = self.bound
            weights = self.tied(self.field, 3)
            self.node("Conv", before, self.constant(weights.astype(np.float32)), pads=[1] * 4)
            self.bound = float(np.abs(weights).sum((1, 2, 3)).max()) * bound
            self.node(self.pick("Add", "Sub", "Max", "Sum"), before, self.tensor)
            self.bound += bound
            assert size == self.size

    def concat(self) -> None:
        self.floating()
        other = self.tensor
        self.node("Neg", other)
        names = self.pick([other, self.tensor], [self.tensor, other], [other, other])
        self.node("Concat", *names, axis=1)
        self.field = self.field + self.field

    def shuffle(self) -> None:
        order = self.random.permutation(self.field.channels)
        self.node("Gather", self.tensor, self.constant(order), axis=1)
        self.field = self.field.reordered(order)

    def drop(self) -> None:
        """Keep whole orbits of channels."""
        orbits = [set(column) for column in np.stack(list(self.field.moves.values())).T.tolist()]
        kept = sorted(self.pick(*orbits) | self.pick(*orbits))
        self.node("Gather", self.tensor, self.constant(np.array(kept)), axis=1)
        ranks = {channel: rank for rank, channel in enumerate(kept)}
        self.field = Field(
            {g: np.array([ranks[m[c]] for c in kept]) for g, m in self.field.moves.items()}
        )

    def enlarge(self) -> None:
        if self.size > 7:
            return
        self.floating()
        if self.chance(0.5):
            self.node("Pad", self.tensor, self.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
            self.size += 2
        else:
            factors = self.constant(np.array([1, 1, 2, 2], np.float32))
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
            self.node("Resize", self.tensor, "", factors, nearest_mode="floor", **how)
            self.size *= 2

    def transpose_axes(self) -> None:
        """Exchange rows and columns there and back, with something in between."""
        self.node("Transpose", self.tensor, perm=[0, 1, 3, 2])
        if not self.integer and self.chance(0.5):
            self.node("Relu", self.tensor)
        self.node("Transpose", self.tensor, perm=[0, 1, 3, 2])

    # --- heads --------------------------------------------------------------------------------

    def head(self) -> None:
        self.floating()
        kind = self.pick("flat", "grid", "orbit")
        channels, group = self.field.channels, self.field.moves
        if kind == "flat" and channels * self.size**2 * self.bound * 8 < LARGEST:
            raw = self.random.integers(-1, 2, (CLASSES, channels, self.size, self.size))
            weights = sum((g(raw[:, m]) for g, m in group.items()), np.zeros_like(raw))
            self.node("Flatten", self.tensor)
        else:
            self.node(self.pick("GlobalMaxPool", "ReduceMax"), self.tensor, **{})
            if "ReduceMax" in self.nodes[-1].op_type:
                self.nodes[-1].input.append(self.constant(np.array([2, 3])))
            self.node("Reshape", self.tensor, self.constant(np.array([-1, channels])))
            raw = self.random.integers(-1, 2, (CLASSES, channels))
            weights = sum((raw[:, m] for m in group.values()), np.zeros_like(raw))
        matrix = weights.reshape(CLASSES, -1).astype(np.float32)
        if kind == "orbit" and matrix.shape[1] == channels:
            orbit = np.unique(np.stack(list(group.values()))[:, self.random.integers(channels)])
            self.node("Gather", self.tensor, self.constant(orbit), axis=1)
            self.node("ReduceSum", self.tensor, self.constant(np.array([1])), keepdims=1)
            matrix = matrix[:, :1]
        if self.chance(0.5):
            bias = self.constant(np.arange(CLASSES, dtype=np.float32))
            self.node("Gemm", self.tensor, self.constant(matrix), bias, transB=1)
        else:
            self.node("MatMul", self.tensor, self.constant(matrix.T))

    def model(self, channels: int, size: int) -> onnx.ModelProto:
        nodes = [*self.nodes, helper.make_node("Identity", [self.tensor], ["logits"])]
        image = helper.make_tensor_value_info(
            "image", TensorProto.UINT8, ["N", channels, size, size]
        )
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
        weights = [numpy_helper.from_array(v, n) for n, v in self.constants.items()]
        graph = helper.make_graph(nodes, "random", [image], [logits], weights)
        opset = [helper.make_opsetid("", 19)]
        return helper.make_model(graph, opset_imports=opset, ir_version=9)


def random_network(seed: int) -> tuple[onnx.ModelProto, str, bool]:
    """A network, its group, and whether it is to be proved."""
    random = np.random.default_rng(seed)
    group, size = ("C4", "D4")[seed % 2], int(random.integers(5, 9))
    channels = int(random.choice([1, 3]))
    image = Field({g: np.arange(channels) for g in grid_symmetries(group)})
    network = Network(random, group, size, image)
    network.convolve(network.new_field())
    steps: list[Callable[[], None]] = [
        network.activate,
        network.activate,
        network.pool,
        network.residual,
        network.concat,
        network.shuffle,
        network.drop,
        network.depthwise,
        network.enlarge,
        network.transpose_axes,
        network.requantise,
        lambda: network.convolve(network.new_field()),
        lambda: network.convolve(network.new_field()),
    ]
    for _ in range(int(random.integers(1, 7))):
        network.pick(*steps)()
    network.head()
    model = network.model(channels, size)
    return model, group, all(map(keeps_windows, _shaped(model))) and not pools_padding(model)


def pools_padding(model: onnx.ModelProto) -> bool:
    """Whether maxima are taken of what is padded, which onnxruntime may pad otherwise."""
    padded: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Pad" or (
            node.op_type in ("Transpose", "Cast", "Identity") and node.input[0] in padded
        ):
            padded.update(node.output)
        elif node.op_type == "MaxPool" and node.input[0] in padded:
            return True
    return False


def _shaped(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, int]]:
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
    }
    shapes["image"] = [a.dim_value for a in model.graph.input[0].type.tensor_type.shape.dim]
    for node in model.graph.node:
        if any(attribute.name == "kernel_shape" for attribute in node.attribute):
            yield node, shapes[node.input[0]][-1]


def keeps_windows(pair: tuple[onnx.NodeProto, int]) -> bool:
    node, size = pair
    a = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    span = (a["kernel_shape"][0] - 1) * a["dilations"][0] + 1
    return bool((size + 2 * a["pads"][0] - span) % a["strides"][0] == 0)


# --- mutants ----------------------------------------------------------------------------------


def mutate(model: onnx.ModelProto, group: str, random: np.random.Generator) -> onnx.ModelProto:
    """Change one number, exchange two, change one attribute, or reverse a node's inputs."""
    while (mutant := _changed(model, random)) == model:
        pass
    return mutant


def _changed(model: onnx.ModelProto, random: np.random.Generator) -> onnx.ModelProto:
    mutant = onnx.ModelProto()
    mutant.CopyFrom(model)
    kind = random.choice(["value", "value", "value", "swap", "attribute", "inputs", "axis"])
    if kind in ("value", "swap"):
        # A variance of two has a root that is no integer, which would bring in rounding.
        roots = [n.input[4] for n in mutant.graph.node if n.op_type == "BatchNormalization"]
        tensors = [t for t in mutant.graph.initializer if t.name not in roots]
        tensor = tensors[random.integers(len(tensors))]
        values = numpy_helper.to_array(tensor).copy()
        flat = values.reshape(-1)
        i, j = random.integers(flat.size, size=2)
        if kind == "value":
            flat[i] += random.choice([-1, 1])
        else:
            flat[i], flat[j] = flat[j], flat[i]
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return mutant
    nodes = list(mutant.graph.node)
    node = nodes[random.integers(len(nodes))]
    if kind == "inputs" and len(node.input) > 1:
        node.input.reverse()
    lists = [attribute for attribute in node.attribute if attribute.ints]
    if kind == "attribute" and lists:
        ints = lists[random.integers(len(lists))].ints
        ints[random.integers(len(ints))] += random.choice([-1, 1])
    if kind == "axis":
        for attribute in node.attribute:
            if attribute.name in ("axis", "group", "keepdims", "count_include_pad", "to"):
                attribute.i += random.choice([-1, 1])
    return mutant


def tried(seeds: range, mutants: int) -> Tally:
    kept = {}

    def drawn() -> Iterator[tuple[int, onnx.ModelProto, str]]:
        for seed in seeds:
            model, group, kept[seed] = random_network(seed)
            yield seed, model, group

    def check(seed: int, proof: Proof) -> None:
        assert proof.outcome == "PROVED" or not kept[seed], f"network {seed}: {proof.reasons}"

    return force(drawn(), mutants, mutate, check)


def test_what_is_proved_does_not_deviate_and_what_deviates_is_not_proved() -> None:
    tally = tried(range(24), mutants=2)
    assert tally.proved > 20
    assert tally.deviating > 12


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_hundreds_of_networks_and_mutants() -> None:
    networks = int(os.environ.get("PROOF_NETWORKS", "350"))
    tally = tried(range(1000, 1000 + networks), mutants=4)
    print(tally)
    assert tally.proved > 0.95 * networks
    assert tally.deviating > 1.1 * networks
