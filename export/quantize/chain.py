"""A float32 file as a chain of layers: what there is to quantise, and what only moves entries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from artifact.contract import INPUT
from audit import RefusedError

Array = NDArray[Any]

_MOVING: Final = ("Flatten", "MaxPool", "ReduceMax", "Reshape")
"""Operators that pick or move entries: integers and floats alike, whatever their scale."""

_ACCEPTED: Final = (
    "a chain of Cast, Mul and Sub of the image, then Conv, Relu, MaxPool, Reshape, Flatten and "
    "ReduceMax, then Gemm and Softmax is accepted"
)


class UnsupportedError(RefusedError):
    """A file holds something that is not quantised; the message names the node."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution with the ReLU that follows it, if one does.

    Attributes
    ----------
    output
        Name of the tensor that it gives, after the ReLU.
    weight : float64 [F, C / groups, k, k]
    bias : float64 [F]
    window
        Its attributes: strides, pads and the like.
    """

    name: str
    output: str
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    window: Mapping[str, Any]
    relu: bool


@dataclass(frozen=True, eq=False)
class Move:
    """A node that picks or moves entries, with its constant inputs."""

    node: onnx.NodeProto
    constants: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Chain:
    """A classifier: grey levels, normalised, then layers, then one linear map.

    Attributes
    ----------
    factor, shift
        A grey level ``x`` enters the first layer as ``factor * x - shift``.
    weight, bias : float64 [K, I], [K]
        Of the linear map at the end.
    model
        The file that it was read from.
    """

    factor: float
    shift: float
    layers: tuple[Convolution | Move, ...]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    model: onnx.ModelProto


def read_chain(model: onnx.ModelProto) -> Chain:
    """Read a file of this project's float32 form.

    Raises
    ------
    UnsupportedError
        If a node is of another kind, or reads another tensor than the one before it gives.
    """
    reader = _Reader(model)
    cast = reader.take("Cast")
    factor = reader.number(reader.take("Mul"))
    shift = reader.number(reader.take("Sub"))
    if cast.input[0] != INPUT:
        raise UnsupportedError(f"The file does not begin with its input 'image'; {_ACCEPTED}.")
    layers = tuple(_layers(reader))
    head = reader.take("Gemm")
    attributes = {a.name: helper.get_attribute_value(a) for a in head.attribute}
    if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
        raise UnsupportedError(f"The node '{head.name}' (Gemm) scales its product; {_ACCEPTED}.")
    weight = reader.constant(head, 1)
    weight = weight if attributes.get("transB") else weight.T
    bias = reader.bias(head, len(weight))
    reader.take("Softmax")
    return Chain(factor, shift, layers, weight, bias, model)


class _Reader:
    """Hands out the nodes one after the other, each reading what the last one gave."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._nodes = list(model.graph.node)
        self._constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._last = model.graph.input[0].name

    def next_op(self) -> str:
        """Return the operator of the next node; empty at the end."""
        return self._nodes[0].op_type if self._nodes else ""

    def take(self, *ops: str) -> onnx.NodeProto:
        """Return the next node, which has to be of one of these operators."""
        if self.next_op() not in ops:
            found = f"'{self._nodes[0].name}' ({self.next_op()})" if self._nodes else "its end"
            raise UnsupportedError(
                f"The file has {found} where {' or '.join(ops)} is due; {_ACCEPTED}."
            )
        node = self._nodes.pop(0)
        if node.input[0] != self._last or len(node.output) != 1:
            raise UnsupportedError(
                f"The node '{node.name}' ({node.op_type}) does not follow on the one before it; "
                f"{_ACCEPTED}."
            )
        self._last = node.output[0]
        return node

    def constant(self, node: onnx.NodeProto, place: int) -> NDArray[np.float64]:
        """Return a constant input of a node in float64."""
        name = node.input[place]
        if name not in self._constants:
            raise UnsupportedError(
                f"The node '{node.name}' ({node.op_type}) computes its input '{name}', and a "
                f"stored one is accepted."
            )
        return self._constants[name].astype(np.float64)

    def number(self, node: onnx.NodeProto) -> float:
        """Return the one number that a node computes with."""
        value = self.constant(node, 1)
        if value.size != 1:
            raise UnsupportedError(
                f"The node '{node.name}' ({node.op_type}) has {value.size} numbers, and one for "
                "all channels is accepted."
            )
        return float(value.item())

    def bias(self, node: onnx.NodeProto, count: int) -> NDArray[np.float64]:
        """Return a node's third input, zeros where it is left out."""
        return self.constant(node, 2) if len(node.input) > 2 else np.zeros(count)

    def constants(self, node: onnx.NodeProto) -> dict[str, Array]:
        """Return all inputs of a node but the first, by name."""
        return {name: self._constants[name] for name in node.input[1:]}


def _layers(reader: _Reader) -> Iterator[Convolution | Move]:
    while reader.next_op() != "Gemm":
        node = reader.take("Conv", *_MOVING)
        if node.op_type != "Conv":
            yield Move(node, reader.constants(node))
            continue
        weight = reader.constant(node, 1)
        relu = reader.next_op() == "Relu"
        yield Convolution(
            name=node.name,
            output=(reader.take("Relu") if relu else node).output[0],
            weight=weight,
            bias=reader.bias(node, len(weight)),
            window={a.name: helper.get_attribute_value(a) for a in node.attribute},
            relu=relu,
        )
