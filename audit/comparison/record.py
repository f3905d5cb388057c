"""The schema of a comparison. Equal reports give equal JSON: nothing in it depends on time."""

from typing import Annotated, Literal

from pydantic import Field

from artifact.identity import ModelIdentity
from artifact.values import Interval, Sha256, Value, Verdict
from audit.provenance import Execution
from audit.values import Proportion

Order = Literal["same", "another", "subset"]


class Margins(Value):
    """By how much the candidate, B, may be worse than the baseline, A.

    Attributes
    ----------
    margin
        In keeping labels, in getting the right ones, and in keeping logits within the tolerance.
    class_margin
        None asks nothing of classes.
    logit_tolerance
        None is the larger of what both reports tolerated or could not see below.
    confidence
        Of each statement about how much worse it can be; those of FAIL hold with it all together.
    """

    margin: Annotated[Proportion, Field(description="Part of all images B may be worse on.")] = 0.01
    class_margin: Proportion | None = 0.2
    deviation_margin: Annotated[
        float,
        Field(
            gt=0,
            description="How much farther a logit may move on the average, of the largest one.",
        ),
    ] = 0.01
    logit_tolerance: Annotated[
        float | None,
        Field(
            ge=0,
            description="How far a logit may move to count as kept; else as both audits had it.",
        ),
    ] = None
    confidence: Annotated[Proportion, Field(description="Of PASS, and of FAIL.")] = 0.95


class ComparedAudit(Value):
    """One of both audits.

    Attributes
    ----------
    report
        SHA-256 of its report's canonical JSON.
    verdict
        Of that report.
    largest_logit
        Largest magnitude of a logit: what deviations are relative to.
    """

    report: Sha256
    model: ModelIdentity
    verdict: Verdict
    source: str
    images: int
    largest_logit: float
    execution: Execution | None = None


class Matching(Value):
    """Which images of both audits are the same.

    Attributes
    ----------
    images
        That both have, by their digests.
    units
        What they count as: images that are one unit in either report are one.
    order
        Whether both lists are equal, have the same images in another order, or one has more.
    """

    images: int
    units: int
    order: Order


class Paired(Value):
    """How many units do something with each model.

    Attributes
    ----------
    baseline, candidate
        Units that do.
    lost, gained
        Those that do with the baseline alone, and with the candidate alone.
    difference, interval
        The part that do more with the candidate. Each end of the interval holds with the
        confidence.
    mcnemar_p
        McNemar's exact test that neither is better, two-sided.
    worse_p
        The same against the candidate alone, adjusted for all that is tested.
    within_p
        That the candidate is worse by the margin or more, exact and unconditional.
    state
        PASS where it is shown to be within the margin, FAIL where it is shown to be worse and not
        to be within, else INCONCLUSIVE.
    """

    units: int
    baseline: int
    candidate: int
    lost: int
    gained: int
    difference: float
    interval: Interval
    mcnemar_p: float
    worse_p: float
    within_p: float
    state: Verdict


class PairedDeviation(Value):
    """How far the logits of a unit move, on the average, relative to each model's largest.

    Attributes
    ----------
    difference, interval
        By how much more with the candidate: a paired bootstrap. Each end of the interval holds with
        the confidence.
    larger_p
        A sign-flip test that neither moves more, adjusted for all that is tested.
    """

    baseline: float
    candidate: float
    difference: float
    interval: Interval
    larger_p: float
    state: Verdict


class ClassPaired(Value):
    """One class: that of a unit's first image, as it should be or as the baseline says."""

    label: int
    name: str
    kept: Paired
    correct: Paired | None


class Rotated(Value):
    """What the candidate made of an image when it was rotated."""

    element: str
    label: str
    png: str | None


class WorseImage(Value):
    """An image that the candidate does worse on.

    Attributes
    ----------
    name
        Its file, or its place in the baseline's set.
    expected
        What it shows, where that is known.
    became_wrong
        The baseline gives the right label, and the candidate does not.
    lost_label
        The baseline keeps its label under all rotations, and the candidate does not.
    baseline_deviation, candidate_deviation
        How far its logits move, relative to each model's largest.
    png
        The picture as base64, where it is at hand.
    """

    index: int
    name: str
    sha256: Sha256
    expected: str | None
    baseline_label: str
    candidate_label: str
    became_wrong: bool
    lost_label: bool
    baseline_deviation: float
    candidate_deviation: float
    png: str | None = None
    rotated: Rotated | None = None


class Comparison(Value):
    """What became of a baseline with a candidate.

    Attributes
    ----------
    verdict
        PASS where the candidate is shown not to be worse by more than the margins, FAIL where it is
        shown to be worse, INCONCLUSIVE where the images show neither.
    reasons
        One sentence for everything that led to it.
    claim
        What the verdict says, and what it does not.
    elements
        The rotations that were tried, those of both audits.
    kept
        Units that keep their label under all of them.
    correct
        Units whose images all get the right label upright; None where that is not known.
    steady
        Units whose logits stay within the tolerance.
    worse
        All images that became wrong or lost their label, and those that moved farthest.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    claim: tuple[str, ...]
    schema_version: Literal[2] = 2
    baseline: ComparedAudit
    candidate: ComparedAudit
    elements: tuple[str, ...]
    matching: Matching
    margins: Margins
    kept: Paired
    correct: Paired | None
    steady: Paired
    deviation: PairedDeviation
    classes: tuple[ClassPaired, ...]
    worse: tuple[WorseImage, ...]
