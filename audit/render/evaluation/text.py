"""An evaluation for a terminal."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from audit.evaluation import Evaluation, Rate
from audit.phrases import level

_LINES: Final = 20


def render_text(evaluation: Evaluation) -> str:
    """Return the figures in a few lines: verdict, accuracy, classes, calibration, wrong images."""
    lines = [*_head(evaluation), "", *_figures(evaluation), "", *_classes(evaluation)]
    for more in (_confusions(evaluation), _wrong(evaluation), _unread(evaluation)):
        found = [*more]
        lines += ["", *found] if found else []
    return "\n".join([*lines, "", "What is claimed:", *_claims(evaluation)])


def printable(name: str) -> str:
    """A name in one line, with what cannot be seen written as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def _head(evaluation: Evaluation) -> Iterator[str]:
    model = evaluation.model
    verdict = f"{evaluation.verdict}  " if evaluation.verdict else ""
    yield f"{verdict}{model.name} version {model.version}, on {evaluation.data.count} images"
    yield from (f"  {reason}" for reason in evaluation.reasons)


def _figures(evaluation: Evaluation) -> Iterator[str]:
    figures, data = evaluation.figures, evaluation.data
    calibration = figures.calibration
    yield f"accuracy        {_rate(figures.accuracy)} at {level(evaluation.asked.confidence)}"
    for top in figures.top_k:
        yield f"within top {top.k}    {_rate(top.rate)}"
    yield f"mean recall     {figures.balanced_accuracy:.2%}, of the classes that are shown"
    yield f"macro F1        {figures.macro_f1:.4f}"
    if figures.roc_auc is not None:
        yield f"ROC AUC         {figures.roc_auc:.4f}"
    yield (
        f"calibration     expected error {calibration.expected_error:.4f} "
        f"({calibration.binning}); {calibration.mean_probability:.2%} sure on the average"
    )
    likelihood = calibration.negative_log_likelihood
    yield (
        f"                Brier score {calibration.brier_score:.4f} of 2, negative log likelihood "
        + ("infinite" if likelihood is None else f"{likelihood:.4f}")
    )
    grouped = "" if data.units is None else f", in {data.units} groups"
    yield f"images          {data.count}{grouped}, {printable(data.source)}"


def _classes(evaluation: Evaluation) -> Iterator[str]:
    yield f"{'images':>7}  {'recall':>26}  {'precision':>26}  {'F1':>6}  class"
    for each in evaluation.figures.classes:
        if not each.shown and not each.answered:
            continue
        f1 = "" if each.f1 is None else f"{each.f1:.4f}"
        yield (
            f"{each.shown:>7}  {_short(each.recall):>26}  {_short(each.precision):>26}  {f1:>6}  "
            f"{printable(evaluation.model.class_name(each.label))}"
        )


def _confusions(evaluation: Evaluation) -> Iterator[str]:
    name = evaluation.model.class_name
    wrong = [each for each in evaluation.figures.confusion if each.expected != each.answered]
    if wrong:
        yield "most often confused:"
    for each in sorted(wrong, key=lambda each: -each.images)[:_LINES]:
        expected, answered = (printable(name(k)) for k in (each.expected, each.answered))
        yield f"{each.images:>7}  {expected} labelled {answered}"


def _wrong(evaluation: Evaluation) -> Iterator[str]:
    name = evaluation.model.class_name
    wrong = [*evaluation.wrong()]
    if wrong:
        yield "wrong images, those of the largest probability first:"
    for _, each in wrong[:_LINES]:
        expected, answered = (printable(name(k)) for k in (each.expected, each.answered))
        yield f"{each.probability:>7.2%}  {expected} labelled {answered}: {printable(each.name)}"
    if len(wrong) > _LINES:
        yield f"{'':>7}  and {len(wrong) - _LINES} more, which a file of --output lists"


def _unread(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.unread:
        yield "files that could not be read:"
    for each in evaluation.unread:
        yield f"         {printable(each.name)}: {printable(each.reason)}"


def _claims(evaluation: Evaluation) -> Iterator[str]:
    for claim in evaluation.claim:
        yield from wrap(claim, 100, initial_indent="- ", subsequent_indent="  ")


def _rate(rate: Rate) -> str:
    low, high = rate.interval.low, rate.interval.high
    return f"{rate.rate:.2%}, {rate.count} of {rate.total}: {low:.2%} to {high:.2%}"


def _short(rate: Rate | None) -> str:
    if rate is None:
        return ""
    return f"{rate.rate:.2%} ({rate.interval.low:.2%}-{rate.interval.high:.2%})"
