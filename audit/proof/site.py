"""What a rule sees of a node: its inputs, the turn to prove, and where to leave notes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audit.proof.graph import Array, Node, Stop
from audit.proof.numbering import Numbering, Numbers, is_unmoved
from audit.proof.tying import Ties
from imaging import GridSymmetry


@dataclass(frozen=True)
class Bound:
    """What is known of all entries of a tensor, for all images in range.

    Attributes
    ----------
    low, high
        No entry lies outside of them.
    whole
        Whether all entries are integers.
    deviation
        How far an entry for the turned image may be from the value that its number stands for. Zero
        as long as all filters tie exactly.
    """

    low: float
    high: float
    whole: bool = False
    deviation: float = 0.0

    @property
    def magnitude(self) -> float:
        """The largest magnitude of an entry."""
        return max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Tracked:
    """A tensor that depends on the image.

    Attributes
    ----------
    numbers : int64 [2, *S]
        Value numbers of the entries, for the image and for the turned image.
    dtype
        Of its elements, where it is known.
    bound
        What is known of its entries.
    """

    numbers: Numbers
    dtype: np.dtype[Any] | None
    bound: Bound

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape for one image, without N."""
        return self.numbers.shape[1:]


@dataclass(frozen=True)
class Mismatch:
    """How far parameters that ought to tie are from it.

    Attributes
    ----------
    relative
        Largest difference of two parameters, relative to the largest parameter.
    factor
        A turned output is off by at most this much for inputs of magnitude 1 (a difference of
        filters in the L1 norm, or of factors), ...
    offset
        ... and by this much besides (a difference of biases).
    """

    relative: float
    factor: float
    offset: float


@dataclass
class Site:
    """One node during the walk.

    Attributes
    ----------
    inputs
        Tensors that depend on the image, constants, and None for an input that is left out.
    generator
        The symmetry to prove.
    tolerance
        Relative difference up to which parameters count as tied; 0 asks for equal bits.
    batch
        N, if the file fixes it.
    ties
        Where to note which stored numbers are taken to be equal; None if nobody asks.
    mismatch, note
        What the rule leaves behind: a residual, and why the symmetry may end here.
    """

    node: Node
    inputs: Sequence[Tracked | Array | None]
    numbering: Numbering
    generator: GridSymmetry
    tolerance: float
    batch: int | None
    ties: Ties | None = None
    mismatch: Mismatch | None = field(default=None, init=False)
    note: str | None = field(default=None, init=False)

    @property
    def tracked(self) -> list[Tracked]:
        """The inputs that depend on the image."""
        return [value for value in self.inputs if isinstance(value, Tracked)]

    def given(self, place: int) -> Tracked | Array | None:
        """Return an input, or None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def image(self, place: int = 0) -> Tracked:
        """Return an input that has to depend on the image."""
        value = self.given(place)
        if not isinstance(value, Tracked):
            raise Stop(f"takes the image's data in another place than input {place}")
        return value

    def constant(self, place: int) -> Array | None:
        """Return an input that must not depend on the image."""
        value = self.given(place)
        if isinstance(value, Tracked):
            raise Stop(f"computes its input {place} from the image, and a constant is followed")
        return value

    def required(self, place: int) -> Array:
        """Return a constant input that cannot be left out."""
        value = self.constant(place)
        if value is None:
            raise Stop(f"lacks its input {place}")
        return value

    def integers(self, attribute: str, place: int) -> list[int] | None:
        """Return what older operators take as an attribute and newer ones as an input."""
        value = self.node[attribute]
        if value is None:
            value = self.constant(place)
        return None if value is None else [int(number) for number in np.ravel(value)]

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis of a tensor of ``rank`` axes counted from the front, N not allowed."""
        if not -rank <= axis < rank:
            raise Stop(f"names axis {axis} of a tensor of {rank} axes")
        if axis % rank == 0:
            raise Stop("works across the images of a batch")
        return axis % rank

    def lose(self, shape: Sequence[int], note: str) -> Numbers:
        """Number outputs of which nothing is known but that equal inputs give equal outputs."""
        self.note = note
        count = int(np.prod(shape))
        here = self.numbering.fresh(count) + np.arange(count).reshape(shape)
        if self.unmoved:
            return np.stack([here, here])
        return np.stack([here, self.numbering.fresh(count) + np.arange(count).reshape(shape)])

    @property
    def unmoved(self) -> bool:
        """Whether the node reads the same for the turned image, entry by entry."""
        return all(is_unmoved(value.numbers) for value in self.tracked)
