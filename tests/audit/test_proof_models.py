"""The networks of this project are proved, and within the time that there is."""

import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from audit import mutate
from audit.proof import prove
from export.bake import bake
from export.graph import to_onnx
from export.onnx_import.symmetrise import symmetrise
from models.autoconfig import inspection
from models.networks import Convolution, MaxPooling, Network, NetworkSpec, RestrictTo

REPOSITORY = Path("model_repository")


def shipped(name: str) -> bytes:
    return (REPOSITORY / name / "1" / "model.onnx").read_bytes()


@pytest.mark.slow
def test_the_shipped_networks_are_proved_each_within_a_second() -> None:
    assert prove(shipped("rotmnist-c8")).outcome == "PROVED"
    data = shipped("rotmnist-c4")
    start = time.thread_time()
    proof = prove(data)
    assert time.thread_time() - start < 1
    assert (proof.outcome, proof.group, proof.arithmetic) == ("PROVED", "C4", "float")
    assert prove(data, "D4").outcome == "NOT PROVED"
    assert prove(mutate(data)).outcome == "NOT PROVED"


@pytest.mark.slow
def test_the_plain_network_is_not_proved() -> None:
    proof = prove(shipped("rotmnist-cnn"))
    assert (proof.outcome, proof.group) == ("NOT PROVED", "C4")
    assert proof.obstacle is not None
    assert (proof.obstacle.node, proof.obstacle.op) == ("node_conv2d", "Conv")


@pytest.mark.parametrize("change", [1e-6, -1e-7])
def test_one_weight_that_is_off_is_seen(change: float) -> None:
    """One of 440,000, by a part that no measurement on images could tell from rounding."""
    model = onnx.load_model_from_string(shipped("rotmnist-c4"))
    kernel = next(t for t in model.graph.initializer if t.name == "layers.9.weight")
    weights = numpy_helper.to_array(kernel).copy()
    weights[17, 3, 0, 1] *= np.float32(1 + change)
    kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))
    data = model.SerializeToString()
    assert prove(data).outcome == "PROVED WITHIN"
    assert prove(data, tolerance=0).outcome == "NOT PROVED"


def small(group: str, basis: str, *layers: Any) -> NetworkSpec:
    first = Convolution(channels=2, kernel=3, padding=1)
    return NetworkSpec.model_validate(
        {
            "group": group,
            "basis": basis,
            "size": 12,
            "classes": 3,
            "mean": 0.4,
            "deviation": 0.3,
            "layers": (first, *layers),
        }
    )


SEPARABLE = Convolution(channels=4, kernel=3, padding=1, separable=True)
PLAIN = Convolution(channels=3, kernel=3, padding=1)
NETWORKS = {
    "grid C4": (small("C4", "grid", PLAIN, MaxPooling(kernel=2, stride=2)), "C4"),
    "separable D4": (small("D4", "grid", SEPARABLE, PLAIN), "D4"),
    "steerable D8": (small("D8", "steerable", PLAIN), "D8"),
    "steerable C16": (small("C16", "steerable", SEPARABLE), "C16"),
    "restricted": (small("D8", "steerable", RestrictTo(group="C4"), SEPARABLE, PLAIN), "C4"),
    "inspection": (inspection()[0], "D4"),
}


@cache
def baked(name: str) -> bytes:
    spec, _ = NETWORKS[name]
    torch.manual_seed(0)
    network = Network(spec)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 and "body" in name:
                parameter.uniform_(0.5, 1.5)
    return bytes(to_onnx(bake(network.eval()), spec, {"group": spec.group}).SerializeToString())


@pytest.mark.usefixtures("exporter")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "grid C4")) for name in NETWORKS],
)
def test_every_kind_of_network_is_proved(name: str) -> None:
    group, data = NETWORKS[name][1], baked(name)
    proof = prove(data, group)
    assert proof.outcome == "PROVED", proof.reasons
    assert proof.subgroup == {"C8": "C4", "C16": "C4", "D8": "D4"}.get(group, group)
    assert prove(mutate(data), group).outcome == "NOT PROVED"


@pytest.mark.slow
@pytest.mark.usefixtures("exporter")
def test_a_restriction_is_believed_no_further_than_it_goes() -> None:
    spec, group = NETWORKS["restricted"]
    data = baked("restricted")
    whole = prove(data)
    assert whole.group == spec.group == "D8"
    assert (whole.outcome, prove(data, group).outcome) == ("NOT PROVED", "PROVED")


@pytest.mark.parametrize(
    ("name", "group", "lacking"), [("c4", "C4", "D4"), ("d4", "D4", None), ("c8", "C8", "D4")]
)
def test_networks_that_e2cnn_exports_tie_in_every_bit(
    name: str, group: str, lacking: str | None
) -> None:
    """Where those of escnn tie to 1e-7: `data/e2cnn_export.py` made the files."""
    data = (Path(__file__).parent / "data" / f"e2cnn-{name}.onnx").read_bytes()
    assert prove(data, group, tolerance=0).outcome == "PROVED"
    assert prove(mutate(data), group).outcome == "NOT PROVED"
    if lacking is not None:
        assert prove(data, lacking).outcome == "NOT PROVED"


# --- a network of ResNet-50's size ------------------------------------------------------------


def tied(random: np.random.Generator, out: int, channels: int, kernel: int) -> NDArray[np.float32]:
    """Random filters of a group convolution of C4."""
    shape = (out // 4, channels // 4, 4, kernel, kernel)
    base = random.standard_normal(shape, np.float32) / 50
    rotated = [np.rot90(np.roll(base, k, axis=2), k, (3, 4)) for k in range(4)]
    return np.stack(rotated, axis=1).reshape(out, channels, kernel, kernel)


def residual_network(random: np.random.Generator, narrow: int = 1) -> bytes:
    """ResNet-50 on 225 x 225 pixels, where its strides keep the symmetry, batch norm unfused.

    `narrow` divides its channels.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def constant(value: NDArray[Any]) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), f"w{len(weights)}"))
        return weights[-1].name

    def add(op: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [f"t{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def convolve(x: str, bank: NDArray[np.float32], stride: int = 1) -> str:
        y = add("Conv", x, constant(bank), strides=[stride] * 2, pads=[bank.shape[-1] // 2] * 4)
        fields = random.uniform(0.5, 1.5, (4, len(bank) // 4)).astype(np.float32)
        return add("BatchNormalization", y, *map(constant, fields.repeat(4, axis=1)))

    base = random.standard_normal((16 // narrow, 3, 7, 7), np.float32)
    lift = np.stack([np.rot90(base, k, (2, 3)) for k in range(4)], axis=1).reshape(-1, 3, 7, 7)
    x = add("Cast", "image", to=TensorProto.FLOAT)
    x = add("Relu", convolve(x, lift, 2))
    x = add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64 // narrow
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 // narrow * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = add("Relu", convolve(x, tied(random, width, channels, 1)))
            y = add("Relu", convolve(y, tied(random, width, width, 3), stride))
            y = convolve(y, tied(random, 4 * width, width, 1))
            if not block:
                x = convolve(x, tied(random, 4 * width, channels, 1), stride)
            x, channels = add("Relu", add("Add", y, x)), 4 * width
    x = add("Flatten", add("GlobalAveragePool", x))
    head = random.standard_normal((1000, channels // 4), np.float32).repeat(4, axis=1)
    x = add("Gemm", x, constant(head), transB=1)
    nodes.append(helper.make_node("Softmax", [x], ["probabilities"], axis=1))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 3, 225, 225])
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 1000])
    graph = helper.make_graph(nodes, "resnet", [image], [output], weights)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


@pytest.mark.slow
@pytest.mark.timeout(120)  # no benchmark, but what is quadratic would not end before
def test_a_network_of_the_size_of_resnet_50_is_proved() -> None:
    data = residual_network(np.random.default_rng(0))
    assert len(data) > 90e6
    start = time.perf_counter()
    assert prove(data, "C4").outcome == "PROVED"
    print(f"proved in {time.perf_counter() - start:.1f} s")


@pytest.mark.slow
@pytest.mark.timeout(900)  # for a machine that is busy otherwise
def test_an_orbit_average_as_deep_as_resnet_50_is_proved() -> None:
    """Four branches of a network without a symmetry, which share its weights."""
    model = onnx.load_model_from_string(residual_network(np.random.default_rng(0), narrow=4))
    kernel = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weights = np.random.default_rng(1).standard_normal(tuple(kernel.dims), np.float32)
    kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))
    model.graph.node[-2].output[0] = model.graph.node[-1].input[0] = "logits"
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])
    model.graph.output.insert(0, output)
    data = symmetrise(model, "C4").SerializeToString()
    assert len(data) < 1.2 * model.ByteSize()
    start = time.perf_counter()
    proof = prove(data, "C4")
    print(f"proved in {time.perf_counter() - start:.1f} s")
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "repeated"), proof.reasons
