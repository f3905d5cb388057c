"""What a card says was measured of a version's file, and proved of it."""

from typing import Literal

from artifact.values import Group, Interval, Value, Verdict

Outcome = Literal["PROVED", "PROVED WITHIN", "NOT PROVED"]
Arithmetic = Literal["integer", "quantised", "repeated", "float"]


class Parity(Value):
    """How far the exported file is from the trained network: the largest distance of a logit."""

    max_abs_logits: float
    images: int
    runtime: str


class Metric(Value):
    """The part of a data set's images that get a wrong label."""

    error_percent: float
    count: int
    data_set: str


class NetworkSize(Value):
    """Parameters that were learned, numbers that are stored, products for one image.

    What was learned is not known of a model from elsewhere.
    """

    free_parameters: int | None
    baked_parameters: int
    multiply_adds: int


class AuditFigures(Value):
    """The outcome of the audit that the version was packaged with."""

    group: Group
    images: int
    verdict: Verdict
    label_agreement: float
    agreement_interval: Interval
    max_logit_deviation: float
    max_probability_deviation: float
    noise_floor: float


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

    relative: float
    node: str
    op: str
    deviation: dict[str, float]


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

    images: int
    elements: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    sessions: tuple[str, ...]
    exact: bool
    max_logit_deviation: float


class Speed(Value):
    """Images a second beside those of the source, medians of rounds in turn.

    Attributes
    ----------
    vnni
        Whether the CPU multiplies 8-bit integers in hardware.
    """

    images_per_second: float
    source_images_per_second: float
    ratio: float
    batch: int
    threads: int
    cpu: str
    vnni: bool
