"""What a card says was measured of a version's file, and proved of it."""

from typing import Literal

from artifact.values import (
    Count,
    Group,
    Magnitude,
    Part,
    PartInterval,
    Percent,
    Value,
    Verdict,
)

Outcome = Literal["PROVED", "PROVED WITHIN", "NOT PROVED"]
Arithmetic = Literal["integer", "quantised", "repeated", "float"]


class Parity(Value):
    """How far the exported file is from the trained network: the largest distance of a logit."""

    max_abs_logits: Magnitude
    images: Count
    runtime: str


class Metric(Value):
    """The part of a data set's images that get a wrong label."""

    error_percent: Percent
    count: Count
    data_set: str


class NetworkSize(Value):
    """Parameters that were learned, numbers that are stored, products for one image.

    What was learned is not known of a model from elsewhere.
    """

    free_parameters: Count | None
    baked_parameters: Count
    multiply_adds: Count


class AuditFigures(Value):
    """The outcome of the audit that the version was packaged with."""

    group: Group
    images: Count
    verdict: Verdict
    label_agreement: Part
    agreement_interval: PartInterval
    max_logit_deviation: Magnitude
    max_probability_deviation: Magnitude
    noise_floor: Magnitude


class Residual(Value):
    """How far the file is from ties that are exact.

    Attributes
    ----------
    relative
        Largest difference of two parameters that ought to tie, relative to the largest parameter of
        their node.
    node, op
        Where that is.
    deviation
        By output: no entry for a rotated image differs by more, in real arithmetic, for any element
        of the group and any image in range. A bound, and a loose one.
    """

    relative: Magnitude
    node: str
    op: str
    deviation: dict[str, Magnitude]


class ProofFigures(Value):
    """What was proved of the file when it was packaged, as `audit.proof.Proof` has it."""

    outcome: Outcome
    subgroup: Group
    exact_bits: bool
    arithmetic: Arithmetic | None
    residual: Residual | None


class Exactness(Value):
    """What was tried, and how far a logit moved.

    Attributes
    ----------
    images
        Number of images.
    elements
        The grid symmetries under which each was classified.
    batch_sizes
        In which they were classified, each size with other neighbours.
    sessions
        What the model was opened as; each is compared with the first.
    exact
        Whether all logits came out the same in every bit.
    max_logit_deviation
        The largest change of a logit.
    """

    images: Count
    elements: tuple[str, ...]
    batch_sizes: tuple[Count, ...]
    sessions: tuple[str, ...]
    exact: bool
    max_logit_deviation: Magnitude


class Speed(Value):
    """Images a second beside those of the source, medians of rounds in turn.

    Attributes
    ----------
    vnni
        Whether the CPU multiplies 8-bit integers in hardware.
    """

    images_per_second: Magnitude
    source_images_per_second: Magnitude
    ratio: Magnitude
    batch: Count
    threads: Count
    cpu: str
    vnni: bool
