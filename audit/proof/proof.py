"""The proof: a file's symmetry, read from its bytes."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from artifact.figures import Arithmetic, Residual
from artifact.onnx_file import read_onnx
from audit.elements import audited_elements
from audit.proof.explain import (
    FILE,
    explain_obstacle,
    explain_proof,
    find_obstacle,
    obstacle_at,
)
from audit.proof.file.graph import Graph, read_graph
from audit.proof.file.node import Node, Unsupported
from audit.proof.findings import Propagation, PropagationOptions
from audit.proof.limits import DEFAULT_LIMITS, Budget, Limits, ProofLimitError
from audit.proof.outcome import Obstacle, Proof, Sensitive
from audit.proof.propagation import propagate
from audit.proof.runtime.chains import Chains
from audit.proof.runtime.counterparts import WRITTEN_OTHERWISE
from audit.proof.runtime.folding import Runtime
from audit.proof.runtime.quantised import QuantisedGroups
from audit.proof.values.batches import Batches
from audit.proof.values.context import Tracked
from audit.proof.values.numbering import is_unmoved
from imaging import GridSymmetry, grid_rotations, grid_symmetries

TOLERANCE = 1e-5
"""Largest relative difference of parameters that are taken to be meant as equal."""

_MOST_STEPS = 8


def prove(
    model: bytes,
    group: str | None = None,
    *,
    tolerance: float = TOLERANCE,
    input_range: tuple[float, float] = (0.0, 1.0),
    runtime: Runtime | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Proof:
    """Prove from an ONNX file that rotated images get the same answer.

    Parameters
    ----------
    model
        The file.
    group
        A group of `imaging.grid_symmetries`; its elements that move the pixel grid onto itself are
        what is proved. By default the group that the file's metadata name, or the rotations of the
        input's grid: C4, or C2 of an oblong one.
    tolerance
        Largest relative difference of parameters at which `PROVED WITHIN` is tried; 0 asks for
        `PROVED` or nothing.
    input_range
        In which the entries of an input of floats lie, for bounds. Integers have the range of their
        type.
    runtime
        Computes what the graph computes from constants a second time, next to ONNX's reference;
        where the two differ, the proof stops. Without it, constants are followed only where the
        standard leaves no doubt.
    limits
        Of time and memory.

    Raises
    ------
    ValueError
        If the bytes are no valid ONNX file with all its weights, or the group rotates no image
        exactly.
    ProofLimitError
        A ValueError: if the proof would take more than its limits.

    Examples
    --------
    >>> from pathlib import Path
    >>> prove(Path("model_repository/rotmnist-c4/1/model.onnx").read_bytes()).outcome
    'PROVED'
    """
    budget = limits.begin()
    budget.held = 3 * len(model)  # the bytes, the parsed file, its weights as arrays
    budget.reserve(0)
    parsed = read_onnx(model)
    group = group or _claimed(parsed)
    asked = _Asked(group, hashlib.sha256(model).hexdigest(), generators(group))
    try:
        graph = read_graph(parsed)
        _, height, width = graph.image.shape
        if height != width and any(rotation.swaps_sides for rotation in asked.generators):
            raise Unsupported(
                f"takes images of {height} x {width} pixels, and square ones can be rotated by "
                "quarter turns"
            )
    except Unsupported as reason:
        return asked.refuse(Obstacle(node=FILE, op="", reason=str(reason)))
    del parsed
    found = []
    in_bits = graph.shares_weights()  # an average of branches: one propagation then says it all
    for generator in asked.generators:
        options = PropagationOptions(generator, 0.0, input_range, runtime, bitwise=in_bits)
        one = propagate(graph, options, budget)
        if in_bits and not is_invariant(graph, one):
            in_bits, options = False, replace(options, bitwise=False)
            one = propagate(graph, options, budget)
        if tolerance > 0 and not is_invariant(graph, one):
            options = replace(options, tolerance=tolerance)
            one = propagate(graph, options, budget)
        if not is_invariant(graph, one):
            return asked.refuse(_explained(graph, options, one, budget))
        if one.odd is not None:
            options = replace(options, writings=one.writings)
            told = propagate(graph, options, budget)
            if not is_invariant(graph, told):
                return asked.refuse(obstacle_at(one.odd, WRITTEN_OTHERWISE))
            one = told
        found.append((options, one))
    one = found[0][1]
    chains = Chains(graph, one.constants, one.sides)
    try:
        chains.refuse_late_halves()
        if runtime is not None:
            chains.confirm(runtime, budget)
    except Unsupported as reason:
        return asked.refuse(Obstacle(node=FILE, op="", reason=str(reason)))
    return asked.conclude(graph, found, budget)


def _explained(
    graph: Graph, options: PropagationOptions, found: Propagation, budget: Budget
) -> Obstacle:
    """Say where a proof ended, by following the graph once more with everything kept."""
    try:
        found = propagate(graph, replace(options, explaining=True), budget)
    except ProofLimitError:
        if found.obstacle is not None:
            return obstacle_at(*found.obstacle)
        reason = "gives another answer for a rotated image, as far as can be followed"
        return Obstacle(node=FILE, op="", reason=reason)
    return find_obstacle(graph, found)


def _claimed(model: onnx.ModelProto) -> str:
    claims = (entry.value for entry in model.metadata_props if entry.key == "group")
    return next((claim for claim in claims if claim != "trivial"), grid_rotations(*_sides(model)))


def _sides(model: onnx.ModelProto) -> tuple[int, int]:
    """Return height and width of the first input that has four axes; 0 where they are open."""
    shapes = [value.type.tensor_type.shape.dim for value in model.graph.input]
    image = next((shape for shape in shapes if len(shape) == 4), None)
    return (image[2].dim_value, image[3].dim_value) if image is not None else (0, 0)


def give_up(model: bytes, group: str, reason: str) -> Proof:
    """Return the proof of a file that nothing is found out about, and why."""
    asked = _Asked(group, hashlib.sha256(model).hexdigest(), generators(group))
    found = asked.refuse(Obstacle(node=FILE, op="", reason="is not followed to its end"))
    return found.model_copy(update={"reasons": (f"{reason}.",)})


def generators(group: str) -> tuple[GridSymmetry, ...]:
    """Return symmetries of the pixel grid of which all those of a group are products.

    Raises
    ------
    ValueError
        If the group has none but the identity.
    """
    elements = audited_elements(group)
    rotations = [GridSymmetry(False, quarters) for quarters in (1, 2)]
    return (
        *[rotation for rotation in rotations if rotation in elements][:1],
        *[mirror for mirror in [GridSymmetry(True, 0)] if mirror in elements],
    )


def subgroup(group: str) -> str:
    """Return the name of the part of a group that moves the pixel grid onto itself."""
    elements = grid_symmetries(group)
    rotations = sum(not element.mirrored for element in elements)
    return f"{'D' if len(elements) > rotations else 'C'}{rotations}"


@dataclass(frozen=True)
class _Asked:
    group: str
    sha256: str
    generators: tuple[GridSymmetry, ...]

    def refuse(self, obstacle: Obstacle) -> Proof:
        return Proof(
            outcome="NOT PROVED",
            reasons=(explain_obstacle(obstacle),),
            sha256=self.sha256,
            group=self.group,
            subgroup=subgroup(self.group),
            generators=tuple(generator.name for generator in self.generators),
            obstacle=obstacle,
        )

    def conclude(
        self, graph: Graph, found: Sequence[tuple[PropagationOptions, Propagation]], budget: Budget
    ) -> Proof:
        residual = None
        propagations = [one for _, one in found]
        worst = _worst_mismatch(propagations)
        if worst is not None:
            node, relative = graph.nodes[worst[0]], worst[1]
            deviation = _deviation(graph, self.generators, propagations)
            if not all(map(math.isfinite, deviation.values())):
                reason = (
                    f"has parameters that tie to {relative:.1g} only, and no bound is known of "
                    "what becomes of that"
                )
                return self.refuse(Obstacle(node=node.name, op=node.op, reason=reason))
            residual = Residual(relative=relative, node=node.name, op=node.op, deviation=deviation)
        arithmetic: Arithmetic | None = None
        if residual is None:
            arithmetic = _arithmetic(graph, found, budget)
        rounding = sorted({n.index: n for one in propagations for n in one.rounding}.items())
        disordered = sorted({n.index: n for one in propagations for n in one.disordered}.items())
        image = found[0][0].input_range
        part = subgroup(self.group)
        draft = Proof(
            outcome="PROVED" if residual is None else "PROVED WITHIN",
            reasons=(),
            sha256=self.sha256,
            group=self.group,
            subgroup=part,
            generators=tuple(generator.name for generator in self.generators),
            exact_bits=arithmetic == "integer",
            arithmetic=arithmetic,
            disordered=_disordered(disordered[0][1]) if disordered else None,
            steps=() if arithmetic == "integer" else _steps(propagations),
            residual=residual,
            input_range=_input_range(graph, image),
            holds_in=(
                ("real arithmetic", "computer arithmetic")
                if arithmetic == "integer"
                else ("real arithmetic",)
            ),
        )
        first = rounding[0][1] if rounding else None
        floats = graph.image.dtype.kind == "f"
        return draft.model_copy(update={"reasons": tuple(explain_proof(draft, first, floats))})


def _input_range(graph: Graph, asked: tuple[float, float]) -> tuple[float, float]:
    if graph.image.dtype.kind == "f":
        return asked
    limits = np.iinfo(graph.image.dtype)
    return float(limits.min), float(limits.max)


def _disordered(node: Node) -> Obstacle:
    reason = "depends on the order of infinities, NaN, or zeros of both signs"
    return obstacle_at(node, reason)


def _steps(found: Sequence[Propagation]) -> tuple[Sensitive, ...]:
    named = {node.index: (node, effect) for one in found for node, effect in one.sensitive}
    return tuple(
        Sensitive(node=node.name, op=node.op, effect=effect)
        for _, (node, effect) in sorted(named.items())[:_MOST_STEPS]
    )


def is_invariant(graph: Graph, found: Propagation) -> bool:
    """Whether every output was reached, and none changes when the image is rotated."""
    reached = [found.tensors.get(name) for name in graph.outputs]
    return found.obstacle is None and bool(reached) and all(map(_is_answer, reached))


def _is_answer(output: Tracked | Batches | None) -> bool:
    """Whether an output has an answer for each image of the batch, the same for rotated ones."""
    return isinstance(output, Tracked) and output.batch_axis == 0 and is_unmoved(output.numbers)


def _arithmetic(
    graph: Graph, found: Sequence[tuple[PropagationOptions, Propagation]], budget: Budget
) -> Arithmetic:
    """Say how far the bits of a proved file go."""
    rounding = [node for _, one in found for node in one.rounding]
    if not rounding:
        return "integer"
    constants = {n: v for n, v in found[0][1].constants.items() if isinstance(v, np.ndarray)}
    groups = QuantisedGroups(graph, constants)
    if all(map(groups.contain, rounding)):
        return "quantised"
    kinds = Counter(map(graph.kind, graph.nodes))
    joined = any(node.op == "Concat" for node in graph.nodes)
    if not joined and any(kinds[graph.kind(node)] == 1 for node in rounding):
        return "float"  # nothing else does what this node does
    for options, one in found:
        if not options.bitwise:
            bitwise = replace(options, tolerance=0.0, bitwise=True)
            one = propagate(graph, bitwise, budget)
        if not is_invariant(graph, one):
            return "float"
    return "repeated"


def _worst_mismatch(found: Sequence[Propagation]) -> tuple[int, float] | None:
    """Return the node with the largest residual of all, by index, and the residual."""
    pairs = [pair for one in found for pair in one.mismatches.items()]
    if not pairs:
        return None
    index, mismatch = max(pairs, key=lambda pair: pair[1].relative)
    return index, mismatch.relative


def _deviation(
    graph: Graph, generators: Sequence[GridSymmetry], found: Sequence[Propagation]
) -> dict[str, float]:
    """Return by output how much the group can change it, from what its generators can."""
    # At most two quarter turns, one way or the other, and one mirror image make every element.
    steps = [2 if generator.quarter_turns == 1 else 1 for generator in generators]
    deviation = {}
    for name in graph.outputs:
        outputs = [one.tensors[name] for one in found]
        bounds = [output.bound for output in outputs if isinstance(output, Tracked)]
        total = sum(step * bound.deviation for step, bound in zip(steps, bounds, strict=True))
        deviation[name] = min(total, bounds[0].high - bounds[0].low)
    return deviation
