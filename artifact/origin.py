"""Where a model came from that this project did not train, and what was done to it."""

from typing import Literal

from pydantic import Field

from artifact.values import Sha256, Value


class Change(Value):
    """What giving a model a symmetry changed, on the images of its audit set.

    Attributes
    ----------
    kind
        `projection`: weights that nearly tied were averaged over the group. `orbit average`: the
        logits are averaged over the group, at as many times the cost as it has elements.
    group
        The group.
    error_percent_before, error_percent
        Part of the images with a wrong label; None where labels are not known.
    label_agreement
        Part of the images that get the label that they got before.
    max_abs_logits
        Largest distance of a logit from what it was before.
    multiply_adds_before
        For one image; what they are now is the card's `size`.
    moved_weights, relative_weight_change
        Of a projection: how many stored numbers changed, and the largest change of one relative to
        the largest number of its tensor.
    """

    kind: Literal["projection", "orbit average"]
    group: str
    error_percent_before: float | None
    error_percent: float | None
    label_agreement: float
    max_abs_logits: float
    multiply_adds_before: int
    moved_weights: int | None = None
    relative_weight_change: float | None = None


class WeightsFile(Value):
    """A file beside a graph that has weights of it: its name as the graph says it, its digest."""

    file: str
    sha256: Sha256


class Origin(Value):
    """The file that a version was made from.

    Attributes
    ----------
    file, sha256
        Its name, without folders, and its digest.
    weights
        The files beside it that its weights were in, if they were not in itself.
    producer
        What the file says wrote it.
    adaptations
        What was done for it to keep the contract, a sentence each.
    change
        If it was given a symmetry.
    """

    file: str
    sha256: Sha256
    weights: tuple[WeightsFile, ...] = Field(default=(), exclude_if=lambda files: not files)
    producer: str
    adaptations: tuple[str, ...]
    change: Change | None = None
