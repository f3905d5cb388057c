"""The proof: a file's symmetry, read from its bytes."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from audit.onnx_file import read_onnx
from audit.procedure import audited_elements
from audit.proof.bounds import stands_quantised
from audit.proof.explain import FILE, explain_obstacle, explain_proof, find_obstacle
from audit.proof.graph import Graph, Node, Stop, read_graph
from audit.proof.numbering import is_unmoved
from audit.proof.outcome import Arithmetic, Obstacle, Proof, Residual
from audit.proof.walk import Walk, walk
from imaging import GridSymmetry, grid_symmetries

TOLERANCE = 1e-5
"""Largest relative difference of parameters that are taken to be meant as equal."""


def prove(
    model: bytes,
    group: str | None = None,
    *,
    tolerance: float = TOLERANCE,
    input_range: tuple[float, float] = (0.0, 1.0),
) -> Proof:
    """Prove from an ONNX file that turned images get the same answer.

    Parameters
    ----------
    model
        The file.
    group
        A group of `imaging.grid_symmetries`; its elements that move the pixel grid onto itself are
        what is proved. By default the group that the file's metadata name, or C4.
    tolerance
        Largest relative difference of parameters at which `PROVED WITHIN` is tried; 0 asks for
        `PROVED` or nothing.
    input_range
        In which the entries of an input of floats lie, for the bound of `PROVED WITHIN`. Integers
        have the range of their type.

    Raises
    ------
    ValueError
        If the bytes are no valid ONNX file with all its weights, or the group turns no image
        exactly.

    Examples
    --------
    >>> from pathlib import Path
    >>> prove(Path("model_repository/rotmnist-c4/1/model.onnx").read_bytes()).outcome
    'PROVED'
    """
    parsed = read_onnx(model)
    group = group or _claimed(parsed)
    question = _Question(group, hashlib.sha256(model).hexdigest(), generators(group))
    try:
        graph = read_graph(parsed)
        _, height, width = graph.image.shape
        if height != width and any(turn.quarter_turns % 2 for turn in question.generators):
            raise Stop(f"takes images of {height} x {width} pixels, and square ones can be turned")
    except Stop as stop:
        return question.refuse(Obstacle(node=FILE, op="", reason=str(stop)))
    walks = []
    for generator in question.generators:
        found = walk(graph, generator, 0.0, input_range)
        if tolerance > 0 and not is_invariant(graph, found):
            found = walk(graph, generator, tolerance, input_range)
        if not is_invariant(graph, found):
            return question.refuse(find_obstacle(graph, found))
        walks.append(found)
    return question.conclude(graph, walks)


def _claimed(model: onnx.ModelProto) -> str:
    claims = (entry.value for entry in model.metadata_props if entry.key == "group")
    return next((claim for claim in claims if claim != "trivial"), "C4")


def generators(group: str) -> tuple[GridSymmetry, ...]:
    """Return symmetries of the pixel grid of which all those of a group are products.

    Raises
    ------
    ValueError
        If the group has none but the identity.
    """
    elements = audited_elements(group)
    turns = [GridSymmetry(False, quarters) for quarters in (1, 2)]
    return (
        *[turn for turn in turns if turn in elements][:1],
        *[mirror for mirror in [GridSymmetry(True, 0)] if mirror in elements],
    )


def subgroup(group: str) -> str:
    """Return the name of the part of a group that moves the pixel grid onto itself."""
    elements = grid_symmetries(group)
    turns = sum(not element.mirrored for element in elements)
    return f"{'D' if len(elements) > turns else 'C'}{turns}"


@dataclass(frozen=True)
class _Question:
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

    def conclude(self, graph: Graph, walks: Sequence[Walk]) -> Proof:
        residual = None
        worst = _worst_mismatch(walks)
        if worst is not None:
            node, relative = graph.nodes[worst[0]], worst[1]
            deviation = _deviation(graph, self.generators, walks)
            if not all(map(math.isfinite, deviation.values())):
                reason = (
                    f"has parameters that tie to {relative:.1g} only, and no bound is known of "
                    "what becomes of that"
                )
                return self.refuse(Obstacle(node=node.name, op=node.op, reason=reason))
            residual = Residual(relative=relative, node=node.name, op=node.op, deviation=deviation)
        rounding = sorted({n.index: n for w in walks for n in w.rounding}.items())
        arithmetic: Arithmetic | None = None
        if residual is None:
            arithmetic = _arithmetic(graph, self.generators, [node for _, node in rounding])
        image = walks[0].tensors[graph.image.name].bound
        first = rounding[0][1] if rounding else None
        part = subgroup(self.group)
        return Proof(
            outcome="PROVED" if residual is None else "PROVED WITHIN",
            reasons=tuple(explain_proof(self.group, part, residual, arithmetic, first)),
            sha256=self.sha256,
            group=self.group,
            subgroup=part,
            generators=tuple(generator.name for generator in self.generators),
            exact_bits=arithmetic == "integer",
            arithmetic=arithmetic,
            residual=residual,
            input_range=(image.low, image.high),
        )


def is_invariant(graph: Graph, found: Walk) -> bool:
    """Whether the walk reached every output, and none changes when the image is turned."""
    reached = [found.tensors.get(name) for name in graph.outputs]
    return found.obstacle is None and all(
        output is not None and is_unmoved(output.numbers) for output in reached
    )


def _arithmetic(
    graph: Graph, generators: Sequence[GridSymmetry], rounding: Sequence[Node]
) -> Arithmetic:
    """Say how far the bits of a proved file go, given the nodes that round."""
    if not rounding:
        return "integer"
    if all(stands_quantised(graph, node) for node in rounding):
        return "quantised"
    kinds = Counter(map(graph.kind, graph.nodes))
    if any(kinds[graph.kind(node)] == 1 for node in rounding):
        return "float"  # nothing else does what this node does
    walks = (walk(graph, turn, 0.0, (0.0, 1.0), bitwise=True) for turn in generators)
    return "repeated" if all(is_invariant(graph, found) for found in walks) else "float"


def _worst_mismatch(walks: Sequence[Walk]) -> tuple[int, float] | None:
    """Return the node with the largest residual of all walks, by index, and the residual."""
    found = [pair for walk in walks for pair in walk.mismatches.items()]
    if not found:
        return None
    index, mismatch = max(found, key=lambda pair: pair[1].relative)
    return index, mismatch.relative


def _deviation(
    graph: Graph, generators: Sequence[GridSymmetry], walks: Sequence[Walk]
) -> dict[str, float]:
    """Return by output how much the group can change it, from what its generators can."""
    # At most two quarter turns, one way or the other, and one mirror image make every element.
    steps = [2 if generator.quarter_turns == 1 else 1 for generator in generators]
    deviation = {}
    for name in graph.outputs:
        bounds = [walk.tensors[name].bound for walk in walks]
        total = sum(step * bound.deviation for step, bound in zip(steps, bounds, strict=True))
        deviation[name] = min(total, bounds[0].high - bounds[0].low)
    return deviation
