"""What a propagation is to follow, and what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audit.proof.file.node import Array, Node
from audit.proof.outcome import Effect
from audit.proof.runtime.folding import Runtime
from audit.proof.values.batches import Followed
from audit.proof.values.context import Mismatch
from audit.proof.values.sizes import Side, Sizes
from audit.proof.values.ties import Ties
from imaging import GridSymmetry


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
    writings
        Of nodes, by their index: those that have different ones are not to do the same.
    """

    generator: GridSymmetry
    tolerance: float
    input_range: tuple[float, float]
    runtime: Runtime | None = None
    bitwise: bool = False
    tie: bool = False
    explaining: bool = False
    writings: Mapping[int, int] | None = None


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
        A node that does the same as another, but is written otherwise.
    writings
        A number for each node, the same for those that are written alike, if there is such a node.
    constants
        Every tensor that does not depend on the image, by name.
    sides
        Shapes that nodes read of tensors that depend on the image, by the tensors' names.
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
    writings: dict[int, int] = field(default_factory=dict)
    constants: dict[str, Array | Sizes] = field(default_factory=dict)
    sides: dict[str, Sequence[Side]] = field(default_factory=dict)
    ties: dict[int, Ties] = field(default_factory=dict)
