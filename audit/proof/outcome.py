"""The schema of a proof's outcome. Equal files and options give equal JSON."""

from typing import Literal

from artifact.figures import Arithmetic, Outcome, Residual
from artifact.values import Sha256, Value

Effect = Literal["step", "steep", "saturating"]
Kind = Literal["real arithmetic", "computer arithmetic"]


class Obstacle(Value):
    """Where a proof ended.

    Attributes
    ----------
    node, op
        Name and operator of the first node that the proof could not pass; the file itself if the
        proof did not get as far as a node.
    reason
        What the node does, as the rest of a sentence about it.
    """

    node: str
    op: str
    reason: str


class Sensitive(Value):
    """An operator after rounded sums that makes more of a last bit than a last bit.

    Attributes
    ----------
    node, op
        Its name and operator.
    effect
        `step`: a last bit may become a whole step, as where numbers are rounded to integers or
        compared. `steep`: it may be magnified without a bound, as by a division by nearly nothing.
        `saturating`: whatever came before, the runtime does not compute such integers as integers
        on every processor, and what it gives may be far off and depend on how the image is rotated.
    """

    node: str
    op: str
    effect: Effect


class Proof(Value):
    """What is known about the invariance of an ONNX file.

    Attributes
    ----------
    outcome
        `PROVED`: the outputs are the same for a rotated image, in real arithmetic. `PROVED WITHIN`:
        they differ by no more than a bound. `NOT PROVED`: neither is known, and the file may be
        invariant nevertheless.
    reasons
        One sentence for everything that there is to say.
    sha256
        Of the file.
    group, subgroup
        The group that was asked for, and its part that moves the pixel grid onto itself, which is
        what the outcome speaks of.
    generators
        The symmetries that were followed through the graph.
    exact_bits
        Whether the outputs are the same in every bit, and not only in real arithmetic.
    arithmetic
        `integer`: whatever rotates with the image is computed exactly. `quantised`: what is not
        stands between DequantizeLinear and QuantizeLinear, and is exact where the runtime sums the
        integers. `repeated`: whatever is rounded for the rotated image is computed from the same
        entries in the same order by another node for the upright one, and is exact where the
        runtime gives such nodes equal bits. `float`: it is rounded, in an order or a place that
        rotates with the image.
    disordered
        The first operator whose bits depend on the order of infinities, NaN, or zeros of both
        signs, where such are not excluded: whatever `arithmetic` says, it says of other images.
    steps
        Where more than last bits may differ, if last bits may: the first of such operators, eight
        at most.
    residual
        Of an outcome `PROVED WITHIN`.
    input_range
        Of the entries of the input: those of an integer type, or those that were asked for. Of
        images with other entries, infinities or NaN, no bits are claimed.
    method
        In the terms of ISO/IEC 24029-2: a file may have the property and not be proved.
    holds_in
        Whether the property holds in real arithmetic, and in that of computers too.
    obstacle
        Of an outcome `NOT PROVED`.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    schema_version: Literal[2] = 2
    sha256: Sha256
    group: str
    subgroup: str
    generators: tuple[str, ...]
    exact_bits: bool = False
    arithmetic: Arithmetic | None = None
    disordered: Obstacle | None = None
    steps: tuple[Sensitive, ...] = ()
    residual: Residual | None = None
    input_range: tuple[float, float] | None = None
    method: Literal["incomplete"] = "incomplete"
    holds_in: tuple[Kind, ...] = ()
    obstacle: Obstacle | None = None
