"""Whether enough images get the right label."""

from audit.evaluation.schema import Asked, Rate
from audit.phrases import level, percent, up_to
from audit.statistics import trials_to_settle
from audit.values import Judgement


def judge_accuracy(accuracy: Rate, asked: Asked, units: int | None = None) -> Judgement | None:
    """Compare the whole interval with what is asked; None where nothing is.

    Parameters
    ----------
    units
        The number of groups that the interval is of; None if every image was drawn by itself.
    """
    if asked.at_least is None:
        return None
    low, high = accuracy.interval.low, accuracy.interval.high
    found = f"{accuracy.count} of {accuracy.total} images get the right label"
    sure, due = level(asked.confidence), f"{percent(asked.at_least)} is asked"
    least, most = percent(low, asked.at_least), up_to(high, asked.at_least)
    if low >= asked.at_least:
        return Judgement("PASS", (f"{found}: at {sure} at least {least} of all do, and {due}.",))
    if high < asked.at_least:
        return Judgement("FAIL", (f"{found}: at {sure} at most {most} of all do, and {due}.",))
    return Judgement(
        "INCONCLUSIVE",
        (
            f"{found}: at {sure} {least} to {most} of all do, and {due}, which lies between; "
            f"{_remedy(accuracy, asked.at_least, asked.confidence, units)}.",
        ),
    )


def _remedy(accuracy: Rate, asked: float, confidence: float, units: int | None) -> str:
    if units is not None:
        these = "this group" if units == 1 else f"these {units} groups"
        return f"more than {these} of images are needed"
    needed = trials_to_settle(accuracy.count, accuracy.total, asked, confidence)
    if needed is None:
        return "the accuracy lies too near to that for more images to settle it"
    return f"if as many of all images do as of these, {needed} images settle it in 9 of 10 cases"
