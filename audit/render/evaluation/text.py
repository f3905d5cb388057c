"""An evaluation for a terminal."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from artifact.values import Interval
from audit.evaluation import Evaluation, Rate
from audit.names import harmless
from audit.phrases import level, percent, up_to

_LINES: Final = 20


def render_text(evaluation: Evaluation) -> str:
    """Return the figures in a few lines: verdict, accuracy, classes, calibration, wrong images."""
    lines = [*_head(evaluation), "", *_figures(evaluation), "", *_classes(evaluation)]
    for more in (_confusions(evaluation), _wrong(evaluation), _unread(evaluation)):
        found = [*more]
        lines += ["", *found] if found else []
    return harmless("\n".join([*lines, "", "What is claimed:", *_claims(evaluation)]))


def printable(name: str) -> str:
    """A name in one line, with what cannot be seen written as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def _head(evaluation: Evaluation) -> Iterator[str]:
    model = evaluation.model
    verdict = f"{evaluation.verdict}  " if evaluation.verdict else ""
    name = printable(model.name)
    yield f"{verdict}{name} version {model.version}, on {evaluation.data.count} images"
    yield from (f"  {reason}" for reason in evaluation.reasons)


def _figures(evaluation: Evaluation) -> Iterator[str]:
    figures, data = evaluation.figures, evaluation.data
    calibration = figures.calibration
    yield f"accuracy        {_rate(figures.accuracy)} at {level(evaluation.asked.confidence)}"
    for top in figures.top_k:
        yield f"within top {top.k}    {_rate(top.rate)}"
    recall = figures.balanced_accuracy
    yield f"mean recall     {recall:.4f}: {_about(figures.balanced_accuracy_interval)}"
    yield f"macro F1        {figures.macro_f1:.4f}: {_about(figures.macro_f1_interval)}"
    if figures.roc_auc is not None:
        yield f"ROC AUC         {figures.roc_auc:.4f}: {_about(figures.roc_auc_interval)}"
    yield (
        f"calibration     expected error {calibration.expected_error:.4f} "
        f"({calibration.binning}); {calibration.mean_probability:.2%} sure on the average"
    )
    likelihood = calibration.negative_log_likelihood
    yield (
        f"                Brier score {calibration.brier_score:.4f} of 2, negative log likelihood "
        + ("infinite" if likelihood is None else f"{likelihood:.4f}")
    )
    grouped = "" if data.units is None else f", in {data.units} group{'s' * (data.units != 1)}"
    yield f"images          {data.count}{grouped}, {printable(data.source)}"


def _classes(evaluation: Evaluation) -> Iterator[str]:
    yield f"{'images':>7}  {'recall':>26}  {'precision':>26}  {'F1':>22}  class"
    for each in evaluation.figures.classes:
        if not each.shown and not each.answered:
            continue
        f1, between = "", each.f1_interval
        if each.f1 is not None:
            f1 = f"{each.f1:.4f}"
            f1 += f" ({between.low:.4f}-{between.high:.4f})" if between else ""
        yield (
            f"{each.shown:>7}  {_short(each.recall):>26}  {_short(each.precision):>26}  {f1:>22}  "
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
    return f"{percent(rate.rate)}, {rate.count} of {rate.total}: {percent(low)} to {up_to(high)}"


def _about(interval: Interval | None) -> str:
    """An interval by bootstrap, or that there is none."""
    if interval is None:
        return "no interval, as a bootstrap of these images knows none"
    return f"about {interval.low:.4f} to {interval.high:.4f}, by bootstrap"


def _short(rate: Rate | None) -> str:
    if rate is None:
        return ""
    return f"{percent(rate.rate)} ({percent(rate.interval.low)}-{up_to(rate.interval.high)})"
