"""The schema of an evaluation. Equal inputs give equal JSON: nothing in it depends on time."""

from collections.abc import Iterator
from typing import Literal

from artifact.identity import ModelIdentity
from artifact.values import Interval, Value, Verdict
from audit.provenance import DataIdentity, Execution
from audit.values import Proportion


class Rate(Value):
    """A part of some images, and its interval."""

    count: int
    total: int
    rate: float
    interval: Interval


class Asked(Value):
    """What is asked of a model.

    Attributes
    ----------
    at_least
        The part of all images that must get the right label; None where nothing is asked.
    confidence
        Of every interval.
    """

    at_least: Proportion | None = None
    confidence: Proportion = 0.95


class ClassFigures(Value):
    """One class.

    Attributes
    ----------
    label
        Class index.
    shown, answered, right
        Images that show it, that were labelled so, and both.
    recall
        The part of the images that show it which are labelled so; None if none shows it.
    precision
        The part of the images that are labelled so which show it; None if none is labelled so.
    f1, f1_interval
        Their harmonic mean, 2 right / (shown + answered); None if both numbers are 0.
    """

    label: int
    shown: int
    answered: int
    right: int
    recall: Rate | None
    precision: Rate | None
    f1: float | None
    f1_interval: Interval | None = None


class Confusion(Value):
    """So many images show one class and are labelled as another, or the same."""

    expected: int
    answered: int
    images: int


class TopK(Value):
    """The part of images that show one of the k likeliest classes."""

    k: int
    rate: Rate


class Bin(Value):
    """Images whose largest probability is above `low` and at most `high`.

    Attributes
    ----------
    probability
        The mean of these probabilities.
    right
        The part of these images that is labelled right.
    """

    low: float
    high: float
    probability: float
    right: Rate


class Calibration(Value):
    """Whether probabilities are what they say.

    Attributes
    ----------
    binning
        How images are gathered, in words.
    bins
        Those that are not empty.
    expected_error
        Expected calibration error: the mean distance of probability and accuracy over the bins,
        weighed by their images (Guo et al. 2017, equation 3).
    mean_probability
        Of the labels that were given.
    brier_score
        The mean squared distance of all probabilities from 1 for the right class and 0 for others,
        0 to 2 (Brier 1950).
    negative_log_likelihood
        The mean of -ln of the right class's probability; None where that is infinite.
    """

    binning: str
    bins: tuple[Bin, ...]
    expected_error: float
    mean_probability: float
    brier_score: float
    negative_log_likelihood: float | None


class Answer(Value):
    """What became of an image.

    Attributes
    ----------
    name
        Of its file, or its place.
    expected, answered
        Class indices.
    probability, expected_probability
        Of the label that was given, and of the right one.
    rank
        Of the right class by its probability: 1 if it was answered.
    """

    name: str
    expected: int
    answered: int
    probability: float
    expected_probability: float
    rank: int

    @property
    def right(self) -> bool:
        """Whether the label is what the image shows."""
        return self.answered == self.expected


class Picture(Value):
    """A wrong image as the model saw it: its place, and base64 of a PNG file."""

    index: int
    png: str


class Unread(Value):
    """A file that could not be read and was left out, and why."""

    name: str
    expected: int
    reason: str


class EvaluationFigures(Value):
    """What was measured.

    Attributes
    ----------
    accuracy
        The part of images that get the right label.
    balanced_accuracy, balanced_accuracy_interval
        The mean recall of the classes that are shown. Its interval, and those of the next two, are
        a bootstrap's; None where it knows nothing, as where no image got a wrong label.
    macro_f1, macro_f1_interval
        The mean F1 of the classes that are shown or answered.
    top_k
        For k of 2, 3 and 5, where there are more classes.
    roc_auc, roc_auc_interval
        Of two classes: the chance that an image of the one is given a larger probability of it than
        an image of the other, half of that where they are equal. None unless two are shown.
    classes
        All of them, in the order of the logits.
    confusion
        Pairs of classes that occur, by the one that is shown and then by the answer.
    """

    accuracy: Rate
    balanced_accuracy: float
    balanced_accuracy_interval: Interval | None = None
    macro_f1: float
    macro_f1_interval: Interval | None = None
    top_k: tuple[TopK, ...]
    roc_auc: float | None
    roc_auc_interval: Interval | None = None
    classes: tuple[ClassFigures, ...]
    confusion: tuple[Confusion, ...]
    calibration: Calibration


class Evaluation(Value):
    """The outcome of an evaluation.

    Attributes
    ----------
    verdict
        PASS, FAIL or INCONCLUSIVE on what is asked; None where nothing is.
    reasons
        What led to it, in sentences.
    claim
        What the figures say, and what they do not, in sentences.
    answers
        What became of each image, in order.
    pictures
        Of the wrong images of the largest probability.
    unread
        Files that were left out; they count nowhere.
    execution, replay
        What ran the model, and the command that makes the same evaluation again.
    """

    verdict: Verdict | None
    reasons: tuple[str, ...]
    claim: tuple[str, ...]
    kind: Literal["evaluation"] = "evaluation"
    schema_version: Literal[1] = 1
    asked: Asked
    model: ModelIdentity
    data: DataIdentity
    figures: EvaluationFigures
    answers: tuple[Answer, ...]
    pictures: tuple[Picture, ...] = ()
    unread: tuple[Unread, ...] = ()
    execution: Execution | None = None
    replay: str | None = None

    def wrong(self) -> Iterator[tuple[int, Answer]]:
        """Places and answers of the images with a wrong label, the largest probability first."""
        wrong = [(i, answer) for i, answer in enumerate(self.answers) if not answer.right]
        yield from sorted(wrong, key=lambda each: (-each[1].probability, each[0]))
