"""The propagation: what every node does to the image and to the rotated image, in order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

import numpy as np

from audit.proof.batches import Batches, Followed, Value, alone, join, joins_batches, lay_out, part
from audit.proof.congruence import Congruence, Half, adopt
from audit.proof.context import Context, Input, Mismatch, Tracked
from audit.proof.counterparts import Counterparts
from audit.proof.folding import Runtime, fold
from audit.proof.fusions import Fusions
from audit.proof.graph import Graph
from audit.proof.limits import Budget, ProofLimitError
from audit.proof.memory import Memory
from audit.proof.node import Array, Node, Unsupported, refuse_odd_flags
from audit.proof.numbering import Numbering, Numbers
from audit.proof.operators import MOVES, OPERATORS
from audit.proof.operators.exactness import (
    is_inexact,
    is_loose,
    mixes_zeros,
    reads_zeros,
    response,
    rounds,
    rounds_rows_alike,
    saturates,
)
from audit.proof.operators.ranges import UNKNOWN, bound, of_constant, of_image
from audit.proof.operators.record import Operator
from audit.proof.outcome import Effect
from audit.proof.quantised import swaps_terms
from audit.proof.scaled_axes import ScaledAxes
from audit.proof.sizes import Batch, Side, Sizes, as_sides, compute, of_shape, shape_of
from audit.proof.ties import Ties
from audit.proof.unread import number_unread
from imaging import GridSymmetry

_LARGEST: Final = 2**28
_READ_SIZES: Final = ("ConstantOfShape", "Expand", "Reshape", "Resize", "Slice", "Split")


@dataclass(frozen=True)
class PropagationOptions:
    """What is to be followed.

    Attributes
    ----------
    generator
        The symmetry.
    tolerance
        Relative difference up to which parameters count as tied; 0 asks for equal bits.
    input_range
        Of the entries of an input of floats.
    runtime
        Computes constants a second time; None if there is none.
    bitwise
        Whether equal numbers are to mean equal bits, also where sums are rounded, if only a runtime
        gives equal bits wherever nodes do the same to the same.
    tie
        Whether to note which stored numbers are taken to be equal.
    explaining
        Whether to keep every tensor, and to find out how far a filter is from the nearest.
    """

    generator: GridSymmetry
    tolerance: float
    input_range: tuple[float, float]
    runtime: Runtime | None = None
    bitwise: bool = False
    tie: bool = False
    explaining: bool = False


@dataclass
class Propagation:
    """What was found on the way.

    Attributes
    ----------
    tensors
        Tensors that depend on the image, by name, in the order of the graph: the outputs and what
        was still needed, or all of them for an explanation.
    producers
        The node that computes a tensor.
    mismatches
        Of nodes whose parameters tie only nearly.
    notes
        Of nodes at which the symmetry may end.
    rounding
        Nodes whose last bits may depend on how the image is rotated.
    sensitive
        Nodes that may make more of a last bit that depends on it.
    disordered
        Nodes of which bits depend on the order of infinities, NaN, or zeros of both signs.
    obstacle
        The node that could not be followed, and why.
    odd
        A node that does for the rotated image what another does, but is written otherwise.
    constants
        Every tensor that does not depend on the image, by name.
    ties
        Which entries of their constants nodes need to be equal, by the node's index, if asked for.
    """

    tensors: dict[str, Followed] = field(default_factory=dict)
    producers: dict[str, Node] = field(default_factory=dict)
    mismatches: dict[int, Mismatch] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    rounding: list[Node] = field(default_factory=list)
    sensitive: list[tuple[Node, Effect]] = field(default_factory=list)
    disordered: list[Node] = field(default_factory=list)
    obstacle: tuple[Node, str] | None = None
    odd: Node | None = None
    constants: dict[str, Array | Sizes] = field(default_factory=dict)
    ties: dict[int, Ties] = field(default_factory=dict)


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
        self.graph, self.options, self.budget = graph, options, budget
        self.numbering, self.found = Numbering(), Propagation(constants=dict(graph.constants))
        self.congruence = Congruence(graph, budget, bitwise=options.bitwise)
        self.memory = Memory(budget)
        self.scaled = ScaledAxes(graph)
        self.fusions = Fusions(graph, self.found.constants)
        self.quantises = any(node.op == "QuantizeLinear" for node in graph.nodes)
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
                self.found.odd = self.counterparts.written_otherwise()
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
        inputs = [self._read(name) for name in node.inputs]
        followed = [value for value in inputs if isinstance(value, (Tracked, Batches))]
        sized = any(isinstance(value, Sizes) for value in inputs)
        if node.op == "Shape" and followed:
            self._constant(node, [_shape(node, followed[0], self.graph.image.batch)])
        elif followed:
            if sized and node.op not in _READ_SIZES:
                raise Unsupported("computes with the number of images in a batch")
            self._operator(node)
            self.scaled.refuse_misread(node, inputs[1] if len(inputs) > 1 else None)
            self.fusions.refuse_misread(node, inputs)
            for name, value in zip(node.outputs, self._outputs(node, inputs), strict=False):
                if name:
                    self._keep(name, value, node)
                    self.counterparts.see(node, inputs, value)
        elif sized and node.op in ("ConstantOfShape", "Expand"):
            self._operator(node)
            self._keep(node.outputs[0], self._repeated(node, inputs), node)
        elif sized:
            self._operator(node)
            self._constant(node, compute(node, [_constant(value) for value in inputs]))
        else:
            arrays = [value if isinstance(value, np.ndarray) else None for value in inputs]
            values = fold(node, arrays, self.options.runtime, self.budget)
            self.scaled.remember(node, arrays, values)
            self._constant(node, values)

    def _read(self, name: str) -> Value:
        if not name:
            return None
        if name in self.found.tensors:
            return self.found.tensors[name]
        if name not in self.found.constants:
            raise Unsupported(f"reads '{name}', which is not followed")
        return self.found.constants[name]

    def _operator(self, node: Node) -> Operator:
        operator = OPERATORS.get(node.op)
        if operator is None:
            raise Unsupported("is an operator that the proof does not know")
        version = node.version
        if version not in operator.versions:
            raise Unsupported(
                f"is version {version} of its operator, of which the proof has read "
                f"{', '.join(map(str, operator.versions))}"
            )
        return operator

    def _outputs(self, node: Node, inputs: Sequence[Value]) -> Sequence[Followed]:
        """Return what a node gives that reads the image's data."""
        if joins_batches(node, inputs):
            return [join(inputs)]
        laid = lay_out(node, inputs, self.graph.image.batch)
        if laid is not None:
            return [laid]
        if not any(isinstance(value, Batches) for value in inputs):
            return self._step(node, [_single(value) for value in inputs], 1)
        parted = part(node, inputs, self.graph.image.batch)
        if parted is not None:
            return parted
        each, by_image = alone(inputs), _by_image(inputs)
        copies = [self._step(node, given, len(each)) for given in each]
        return [Batches(tuple(outputs), by_image) for outputs in zip(*copies, strict=True)]

    def _step(self, node: Node, inputs: Sequence[Input], copies: int) -> list[Tracked]:
        operator, options = self._operator(node), self.options
        context = Context(
            node,
            inputs,
            self.graph.dtypes.get(node.outputs[0]),
            self.numbering,
            self.budget,
            options.generator,
            options.tolerance,
            self.graph.image.batch,
            self.found.ties.setdefault(node.index, Ties()) if options.tie else None,
            options.explaining,
            copies,
        )
        if not operator.any_axis:
            context.batch_first()
        outputs = self._numbers(operator, context)
        known = bound(operator, context)
        if context.unread or saturates(operator, context):  # nothing holds of what a runtime gives
            deviates = known.deviation or any(v.bound.deviation for v in context.tracked)
            known = replace(UNKNOWN, deviation=UNKNOWN.deviation if deviates else 0.0)
        tainted = any(value.bound.rounded for value in context.tracked)
        floats = operator.floats if isinstance(operator.floats, str) else ""
        reads = reads_zeros(operator, context)
        unread = context.unread and not context.unmoved
        if reads or unread or rounds(operator, context):
            tainted = True
            self.found.rounding.append(node)
            if reads or floats in ("bounded", "ordered"):
                self.found.disordered.append(node)
        steps = self._steps(context, outputs)
        if steps and not context.unmoved:
            tainted = True
            self.found.rounding.append(node)
        either = mixes_zeros(operator, context)
        either |= any(value.bound.either_zero for value in context.tracked)
        either &= known.signed_zero
        if either and any(name in self.graph.outputs for name in node.outputs):
            self.found.rounding.append(node)
            self.found.disordered.append(node)
        if not context.unmoved and saturates(operator, context):
            self.found.sensitive.append((node, "saturating"))
        elif steps and tainted:
            self.found.sensitive.append((node, "step"))
        elif any(value.bound.rounded for value in context.tracked):
            answer = response(operator, context)
            if answer != "smooth":
                self.found.sensitive.append((node, answer))
        loose = is_loose(operator, context)
        if context.mismatch is not None:
            self.found.mismatches[node.index] = context.mismatch
        if context.note is not None:
            self.found.notes[node.index] = context.note
        return [
            Tracked(
                _checked(numbers),
                self.graph.dtypes.get(name),
                replace(known, rounded=tainted, either_zero=either, loose=loose),
                context.batch_axis,
                context.terms,
            )
            for name, numbers in zip(node.outputs, outputs, strict=False)
        ]

    def _numbers(self, operator: Operator, context: Context) -> list[Numbers]:
        if operator.rule is None:
            raise Unsupported("computes with the image what is followed for constants alone")
        if operator.name in MOVES:
            return operator.rule(context)
        known: list[Half | None] = [None, None]
        alone = self.options.bitwise and not rounds_rows_alike(operator, context)
        alone = alone and is_inexact(operator, context, finite=True)
        if context.ties is None and not alone:
            known = self.congruence.find(context)
        here, rotated = known
        if here is not None and rotated is not None:
            context.batch_axis = here.batch_axis
            context.reordered = here.reordered or rotated.reordered
            context.unread = here.unread or rotated.unread
            pairs = zip(here.outputs, rotated.outputs, strict=True)
            return [np.stack(pair) for pair in pairs]
        try:
            outputs = operator.rule(context)
        except Unsupported as why:
            outputs = [number_unread(operator, context, self.options.runtime, str(why))]
        inexact = is_inexact(operator, context, finite=True)
        if self.options.bitwise and (inexact or self._steps(context, outputs)):
            outputs = [context.opaque(numbers.shape[1:], "rounds") for numbers in outputs]
            context.terms = None
        outputs = adopt(known, outputs)
        context.reordered |= any(half is not None and half.reordered for half in known)
        context.unread |= any(half is not None and half.unread for half in known)
        if not alone:
            self.congruence.remember(context, outputs)
        return outputs

    def _steps(self, context: Context, outputs: Sequence[Numbers]) -> bool:
        """Whether onnxruntime computes a node from integers that it rounds by the rotation."""
        swaps = self.quantises and swaps_terms(context, outputs)
        return swaps or self.scaled.quantises_data(context.node)

    def _repeated(self, node: Node, inputs: Sequence[Value]) -> Tracked:
        """Give every image of a batch the same constants."""
        if node.op == "ConstantOfShape":
            value = node.get("value", np.zeros(1, np.float32))
            array, sides = np.asarray(value).reshape(()), as_sides(_sized(inputs[0]))
        else:
            given = inputs[0]
            if not isinstance(given, np.ndarray):
                raise Unsupported("repeats sizes, which are not followed")
            array, sides = given, as_sides(_sized(inputs[1]))
        places = [place for place, side in enumerate(sides) if isinstance(side, Batch)]
        if len(places) != 1 or sides[places[0]] != Batch():
            raise Unsupported("computes with the number of images in a batch")
        place = places[0]
        array = array.reshape([1] * (len(sides) - array.ndim) + list(array.shape))
        if array.ndim != len(sides) or array.shape[place] != 1:
            raise Unsupported("gives each image of a batch constants of its own")
        lengths = [1 if isinstance(side, Batch) else side for side in sides]
        shape = np.broadcast_shapes(array.shape, tuple(lengths))
        self.budget.reserve(32 * math.prod(shape))
        numbers = np.moveaxis(self.numbering.constants(array), place, 0)
        there = [2, *(side for axis, side in enumerate(shape) if axis != place)]
        return Tracked(np.broadcast_to(numbers, there), array.dtype, of_constant(array), place)

    def _constant(self, node: Node, values: Sequence[Array | Sizes]) -> None:
        for name, value in zip(node.outputs, values, strict=False):
            if name:
                self.found.constants[name] = value
                self.found.producers[name] = node
                if isinstance(value, np.ndarray) and node.op != "Constant":
                    self.memory.add(value)

    def _keep(self, name: str, value: Followed, node: Node | None) -> None:
        self.found.tensors[name] = value
        if node is not None:
            self.found.producers[name] = node
        for tensor in _tensors(value):
            self.memory.add(tensor.numbers)
        self.budget.reserve(0)

    def _forget(self, node: Node) -> None:
        """Let go of what no further node reads."""
        self.congruence.leave(node)
        if self.options.explaining or self.options.tie:
            return
        for name in {*node.inputs, *node.outputs}:
            if name in self.found.tensors and self.last_use.get(name, -1) <= node.index:
                for tensor in _tensors(self.found.tensors.pop(name)):
                    self.memory.remove(tensor.numbers)


def _tensors(value: Followed) -> Sequence[Tracked]:
    return value.parts if isinstance(value, Batches) else (value,)


def _by_image(inputs: Sequence[Value]) -> bool:
    return any(isinstance(value, Batches) and value.by_image for value in inputs)


def _single(value: Value) -> Input:
    return cast(Input, value)


def _constant(value: Value) -> Array | Sizes | None:
    return cast(Array | Sizes | None, value)


def _sized(value: Value) -> Array | Sizes:
    if not isinstance(value, (np.ndarray, Sizes)):
        raise Unsupported("has a shape that is not known")
    return value


def _checked(numbers: Numbers) -> Numbers:
    if numbers.shape[0] != 2:
        raise Unsupported("changes the number of images in a batch")
    if numbers.size > _LARGEST:
        raise Unsupported("gives a tensor that is too large to follow")
    return numbers


def _shape(node: Node, value: Followed, batch: int | None) -> Array | Sizes:
    sides: list[Side] = [
        side.copies * batch if isinstance(side, Batch) and batch is not None else side
        for side in value.sides
    ]
    return of_shape(shape_of(node, sides))
