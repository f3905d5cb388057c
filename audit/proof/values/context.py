"""What a rule sees of a node: its inputs, the rotation to prove, and where to leave notes."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.file.types import DType, extremes
from audit.proof.limits import Budget
from audit.proof.values.numbering import Numbering, Numbers, is_unmoved
from audit.proof.values.sizes import Batch, Side, Sizes, as_sides
from audit.proof.values.ties import Ties
from imaging import GridSymmetry


@dataclass(frozen=True)
class Bound:
    """What is known of all entries of a tensor, for all images in range.

    Attributes
    ----------
    low, high
        No entry that is a number lies outside of them.
    whole
        Whether all entries are integers.
    deviation
        How far an entry for the rotated image may be from the value that its number stands for.
        Zero as long as all filters tie exactly.
    unbounded
        Whether an entry may be infinite or not a number, in floats.
    signed_zero
        Whether an entry may be -0.0.
    rounded
        Whether last bits may depend already on how the image is rotated.
    either_zero
        Whether the signs of zeros may.
    loose
        Whether the ends hold in real arithmetic alone: several roundings came before, and floats
        may lie a little outside.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    deviation: float = 0.0
    unbounded: bool = True
    signed_zero: bool = True
    rounded: bool = False
    either_zero: bool = False
    loose: bool = False

    @property
    def magnitude(self) -> float:
        """The largest magnitude of an entry."""
        return max(abs(self.low), abs(self.high))

    @property
    def has_both_zeros(self) -> bool:
        """Whether 0.0 and -0.0 may stand in each other's place."""
        return self.signed_zero and self.low <= 0 <= self.high


@dataclass(frozen=True, eq=False)
class Terms:
    """What a tensor is the sum, the product or the maximum of, entry by entry.

    Attributes
    ----------
    op
        `Add`, `Mul`, `Max` or `Min`.
    numbers
        Of the terms that depend on the image, each int64 ``[2, *S]`` or broadcast to it.
    constants
        The other terms, laid out as numbers are.
    """

    op: str
    numbers: tuple[Numbers, ...]
    constants: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Tracked:
    """A tensor that depends on the image, or has at least its batch axis.

    Attributes
    ----------
    numbers : int64 [2, *S]
        Value numbers of the entries, for the image and for the rotated image. The axis of the batch
        comes first, wherever it stands in the tensor.
    dtype
        Of its elements, where it is known.
    bound
        What is known of its entries.
    batch_axis
        Where the axis of the batch stands in the tensor.
    terms
        What it was added up from, if it was.
    """

    numbers: Numbers
    dtype: DType | None
    bound: Bound
    batch_axis: int = 0
    terms: Terms | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape for one image, without N."""
        return self.numbers.shape[1:]

    @property
    def rank(self) -> int:
        """The number of axes, with that of the batch."""
        return self.numbers.ndim

    @property
    def sides(self) -> list[Side]:
        """The shape as the graph sees it."""
        sides: list[Side] = list(self.shape)
        return [*sides[: self.batch_axis], Batch(), *sides[self.batch_axis :]]


@dataclass(frozen=True)
class Mismatch:
    """How far parameters that ought to tie are from it.

    Attributes
    ----------
    relative
        Largest difference of two parameters, relative to the largest parameter.
    factor
        A rotated output is off by at most this much for inputs of magnitude 1 (a difference of
        filters in the L1 norm, or of factors), ...
    offset
        ... and by this much besides (a difference of biases).
    """

    relative: float
    factor: float
    offset: float


Input = Tracked | Array | Sizes | None


@dataclass
class Context:
    """One node while it is followed.

    Attributes
    ----------
    inputs
        Tensors that depend on the image, constants, sizes with N among them, and None for an input
        that is left out.
    dtype
        Of the elements of the first output, where it is known.
    generator
        The symmetry to prove.
    tolerance
        Relative difference up to which parameters count as tied; 0 asks for equal bits.
    batch
        N, if the file fixes it.
    ties
        Where to note which stored numbers are taken to be equal; None if nobody asks.
    explaining
        Whether it is to be found out how far the nearest filter is.
    copies
        How many batches the node works on, one after the other in one.
    mismatch, note
        What the rule leaves behind: a residual, and why the symmetry may end here.
    unread
        Whether the rule could not follow the node, which counts as some function of the image.
    reordered
        Whether the rule has numbered a sum of several nodes as one, in whatever order.
    batch_axis
        Where the batch stands in the outputs.
    terms
        What the output is the sum, product or maximum of.
    """

    node: Node
    inputs: Sequence[Input]
    dtype: DType | None
    numbering: Numbering
    budget: Budget
    generator: GridSymmetry
    tolerance: float
    batch: int | None
    ties: Ties | None = None
    explaining: bool = False
    copies: int = 1
    mismatch: Mismatch | None = field(default=None, init=False)
    note: str | None = field(default=None, init=False)
    unread: bool = field(default=False, init=False)
    reordered: bool = field(default=False, init=False)
    batch_axis: int = field(default=0, init=False)
    terms: Terms | None = field(default=None, init=False)
    cache: dict[Hashable, object] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.tracked = [value for value in self.inputs if isinstance(value, Tracked)]
        self.constants = [
            (place, value)
            for place, value in enumerate(self.inputs)
            if isinstance(value, np.ndarray)
        ]
        if self.tracked:
            self.batch_axis = self.tracked[0].batch_axis

    def given(self, place: int) -> Input:
        """Return an input, or None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def image(self, place: int = 0) -> Tracked:
        """Return an input that has to depend on the image."""
        value = self.given(place)
        if not isinstance(value, Tracked):
            raise Unsupported(f"takes the image's data in another place than input {place}")
        return value

    def constant(self, place: int) -> Array | None:
        """Return an input that must not depend on the image."""
        value = self.given(place)
        if isinstance(value, Tracked):
            raise Unsupported(
                f"computes its input {place} from the image, and a constant is followed"
            )
        if isinstance(value, Sizes):
            raise Unsupported("computes with the number of images in a batch")
        return value

    def required(self, place: int) -> Array:
        """Return a constant input that cannot be left out."""
        value = self.constant(place)
        if value is None:
            raise Unsupported(f"lacks its input {place}")
        return value

    def sides(self, place: int) -> list[Side]:
        """Return a constant input that says a shape, in which N may stand."""
        value = self.given(place)
        if value is None or isinstance(value, Tracked):
            raise Unsupported("has a shape that is not known")
        return as_sides(value)

    def integers(self, attribute: str, place: int) -> list[int] | None:
        """Return what older operators take as an attribute and newer ones as an input."""
        value = self.node[attribute]
        if value is None:
            value = self.constant(place)
        return None if value is None else [int(number) for number in np.ravel(value)]

    def axis(self, axis: int, tensor: Tracked | None = None) -> int:
        """Return which axis of a tensor's numbers is the one that the graph names."""
        tensor = tensor or self.tracked[0]
        rank = tensor.rank
        if not -rank <= axis < rank:
            raise Unsupported(f"names axis {axis} of a tensor of {rank} axes")
        axis %= rank
        if axis == tensor.batch_axis:
            raise Unsupported("works across the images of a batch")
        return axis + 1 if axis < tensor.batch_axis else axis

    def axes(self, axes: Sequence[int]) -> list[int]:
        """Return which axes of the first tensor's numbers are those that the graph names."""
        places = [self.axis(axis) for axis in axes]
        if len({*places}) < len(places):  # also where one is counted from the end
            raise Unsupported(f"names an axis twice: {list(axes)}")
        return places

    def batch_first(self) -> None:
        """See that all inputs have the batch as their first axis."""
        if any(value.batch_axis for value in self.tracked):
            raise Unsupported("has the images of a batch along another axis than the first")

    def is_batch(self, side: Side) -> bool:
        """Whether a side is the length of the batch axis."""
        if isinstance(side, Batch):
            return side == Batch()
        return self.batch is not None and side == self.copies * self.batch

    def reserve(self, entries: int, *, copies: int = 2) -> None:
        """See that there is memory for the numbers of a tensor, before it is built."""
        self.budget.reserve(16 * entries * copies)

    def holds(self, magnitude: float) -> bool:
        """Whether the type of the first output has numbers as large as that."""
        return self.dtype is not None and magnitude <= extremes(self.dtype)[1]

    def opaque(self, shape: Sequence[int], note: str) -> Numbers:
        """Number outputs of which nothing is known but that equal inputs give equal outputs."""
        self.note = note
        count = math.prod(shape)
        self.reserve(count)
        here = self.numbering.fresh(count) + np.arange(count).reshape(shape)
        if self.unmoved:
            return np.stack([here, here])
        return np.stack([here, self.numbering.fresh(count) + np.arange(count).reshape(shape)])

    @property
    def unmoved(self) -> bool:
        """Whether the node reads the same for the rotated image, entry by entry."""
        if "unmoved" not in self.cache:
            self.cache["unmoved"] = all(is_unmoved(value.numbers) for value in self.tracked)
        return bool(self.cache["unmoved"])
