"""The propagation: what every node does to the image and to the rotated image, in order."""

import math
from collections.abc import Sequence
from typing import Final, cast

import numpy as np

from audit.names import readable
from audit.proof.file.graph import Graph
from audit.proof.file.node import (
    Array,
    Node,
    Unsupported,
    refuse_negative_zeros,
    refuse_odd_flags,
)
from audit.proof.findings import Propagation, PropagationOptions
from audit.proof.limits import Budget, ProofLimitError
from audit.proof.operators.ranges import of_image
from audit.proof.runtime.counterparts import Counterparts
from audit.proof.runtime.folding import fold
from audit.proof.runtime.fusions import Fusions
from audit.proof.runtime.inferred import InferredSizes
from audit.proof.runtime.scaled_axes import ScaledAxes
from audit.proof.transfer import Transfer, operator_of
from audit.proof.values.batches import (
    Batches,
    Followed,
    Value,
    alone,
    join,
    joins_batches,
    lay_out,
    part,
)
from audit.proof.values.context import Input, Tracked
from audit.proof.values.memory import Memory
from audit.proof.values.numbering import Numbering
from audit.proof.values.repeats import repeat
from audit.proof.values.sizes import Batch, Side, Sizes, compute, of_shape, shape_of

_READ_SIZES: Final = ("ConstantOfShape", "Expand", "Reshape", "Resize", "Slice", "Split")


def propagate(graph: Graph, options: PropagationOptions, budget: Budget) -> Propagation:
    """Follow one symmetry through a graph, to its end or to a node that cannot be followed.

    Raises
    ------
    ProofLimitError
        If that takes more than it may.
    """
    return _Propagator(graph, options, budget).run()


class _Propagator:
    def __init__(self, graph: Graph, options: PropagationOptions, budget: Budget) -> None:
        if options.writings is not None:
            graph = graph.apart(options.writings)
        self.graph, self.options, self.budget = graph, options, budget
        self.numbering, self.found = Numbering(), Propagation(constants=dict(graph.constants))
        self.memory = Memory(budget)
        self.scaled = ScaledAxes(graph)
        self.fusions, self.inferred = Fusions(graph, self.found.constants), InferredSizes()
        self.transfer = Transfer(graph, options, budget, self.numbering, self.scaled, self.found)
        self.counterparts = Counterparts(graph, self.found.constants, self.fusions.kept)
        self.last_use = {name: node.index for node in graph.nodes for name in node.inputs}
        self.last_use.update(dict.fromkeys(graph.outputs, len(graph.nodes)))

    def run(self) -> Propagation:
        before = self.budget.held
        try:
            self._start()
            for node in self.graph.nodes:
                self.budget.check()
                try:
                    self._follow(node)
                except ProofLimitError:
                    raise
                except MemoryError as error:
                    raise ProofLimitError(
                        "The proof needs more memory than the machine has; a smaller file is "
                        "accepted."
                    ) from error
                except Unsupported as reason:
                    self.found.obstacle = node, str(reason)
                    break
                except Exception:  # whatever a malformed node provokes, in numpy or the reference
                    self.found.obstacle = node, "has inputs or attributes that do not fit together"
                    break
                self._forget(node)
            else:
                self.found.odd = self.counterparts.written_otherwise(self.transfer.shared)
                if self.found.odd is not None:
                    self.found.writings = self.counterparts.writings()
        finally:
            self.budget.held = before
        return self.found

    def _start(self) -> None:
        image, options = self.graph.image, self.options
        pixels = math.prod(image.shape)
        self.budget.reserve(64 * pixels)
        here = self.numbering.fresh(pixels) + np.arange(pixels).reshape(image.shape)
        numbers = np.stack([here, options.generator(here)])
        known = of_image(image.dtype, *options.input_range)
        self._keep(image.name, Tracked(numbers, image.dtype, known), None)

    def _follow(self, node: Node) -> None:
        refuse_odd_flags(node)
        refuse_negative_zeros(node)
        self.inferred.refuse_mistaken(node)
        self.fusions.refuse_backward_range(node)
        inputs = [self._read(name) for name in node.inputs]
        followed = [value for value in inputs if isinstance(value, (Tracked, Batches))]
        sized = any(isinstance(value, Sizes) for value in inputs)
        if node.op == "Shape" and followed:
            self.found.sides[node.inputs[0]] = _counted(followed[0], self.graph.image.batch)
            self._constant(node, [of_shape(shape_of(node, self.found.sides[node.inputs[0]]))])
        elif followed:
            if sized and node.op not in _READ_SIZES:
                raise Unsupported("computes with the number of images in a batch")
            operator_of(node)
            self.scaled.refuse_misread(node, inputs[1] if len(inputs) > 1 else None)
            self.fusions.refuse_misread(node, inputs)
            for name, value in zip(node.outputs, self._outputs(node, inputs), strict=False):
                if name:
                    self._keep(name, value, node)
                    self.counterparts.see(node, inputs, value)
        elif sized and node.op in ("ConstantOfShape", "Expand"):
            operator_of(node)
            self._keep(node.outputs[0], repeat(node, inputs, self.numbering, self.budget), node)
        elif sized:
            operator_of(node)
            sizes = [cast(Array | Sizes | None, value) for value in inputs]
            computed = compute(node, sizes)
            self.inferred.see(node, sizes, computed)
            self._constant(node, computed)
        else:
            arrays = [value if isinstance(value, np.ndarray) else None for value in inputs]
            values = fold(node, arrays, self.options.runtime, self.budget)
            self.scaled.remember(node, arrays, values)
            self.inferred.see(node, arrays, values)
            self._constant(node, values)

    def _read(self, name: str) -> Value:
        if not name:
            return None
        if name in self.found.tensors:
            return self.found.tensors[name]
        if name not in self.found.constants:
            raise Unsupported(f"reads '{name}', which is not followed")
        return self.found.constants[name]

    def _outputs(self, node: Node, inputs: Sequence[Value]) -> Sequence[Followed]:
        """Return what a node gives that reads the image's data."""
        if joins_batches(node, inputs):
            return [join(inputs)]
        laid = lay_out(node, inputs, self.graph.image.batch)
        if laid is not None:
            return [laid]
        if not any(isinstance(value, Batches) for value in inputs):
            return self.transfer(node, [cast(Input, value) for value in inputs], 1)
        parted = part(node, inputs, self.graph.image.batch)
        if parted is not None:
            return parted
        each, by_image = alone(inputs), _by_image(inputs)
        copies = [self.transfer(node, given, len(each)) for given in each]
        return [Batches(tuple(outputs), by_image) for outputs in zip(*copies, strict=True)]

    def _constant(self, node: Node, values: Sequence[Array | Sizes]) -> None:
        for name, value in zip(node.outputs, values, strict=False):
            if name:
                self._refuse_misdeclared(name, value)
                self.found.constants[name] = value
                self.found.producers[name] = node
                if isinstance(value, np.ndarray) and node.op != "Constant":
                    self.memory.add(value)

    def _refuse_misdeclared(self, name: str, value: Followed | Array | Sizes) -> None:
        """Refuse a tensor of which the file notes another shape: runtimes compute with that one."""
        declared = self.graph.declared.get(name)
        if declared is None:
            return
        batch = self.graph.image.batch
        sides = [*value.sides.shape] if isinstance(value, Sizes) else _sides_of(value)
        lengths = [_length(side, batch) for side in sides]
        fit = zip(declared, lengths, strict=False)
        if len(declared) != len(lengths) or any(side not in (-1, length) for side, length in fit):
            raise Unsupported(
                f"gives '{readable(name)}', of which the file notes another shape than it has"
            )

    def _keep(self, name: str, value: Followed, node: Node | None) -> None:
        self._refuse_misdeclared(name, value)
        self.found.tensors[name] = value
        if node is not None:
            self.found.producers[name] = node
        for tensor in _tensors(value):
            self.memory.add(tensor.numbers)
        self.budget.reserve(0)

    def _forget(self, node: Node) -> None:
        """Let go of what no further node reads."""
        self.transfer.leave(node)
        if self.options.explaining or self.options.tie:
            return
        for name in {*node.inputs, *node.outputs}:
            if name in self.found.tensors and self.last_use.get(name, -1) <= node.index:
                for tensor in _tensors(self.found.tensors.pop(name)):
                    self.memory.remove(tensor.numbers)


def _sides_of(value: Followed | Array) -> Sequence[Side]:
    return value.shape if isinstance(value, np.ndarray) else value.sides


def _length(side: Side, batch: int | None) -> int:
    """Return how long a side is, -1 if nobody knows."""
    if isinstance(side, Batch):
        return -1 if batch is None else side.copies * batch + side.more
    return side


def _tensors(value: Followed) -> Sequence[Tracked]:
    return value.parts if isinstance(value, Batches) else (value,)


def _by_image(inputs: Sequence[Value]) -> bool:
    return any(isinstance(value, Batches) and value.by_image for value in inputs)


def _counted(value: Followed, batch: int | None) -> list[Side]:
    """Return the sides of a tensor, as numbers where N is one."""
    return [
        side.copies * batch if isinstance(side, Batch) and batch is not None else side
        for side in value.sides
    ]
