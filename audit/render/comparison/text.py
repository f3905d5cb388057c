"""A comparison for a terminal."""

from collections.abc import Iterator
from textwrap import wrap

from audit.comparison import Comparison, Paired, WorseImage
from audit.render.comparison.rows import counted, measured, measured_of_class, named

_LINES = 12


def render_comparison_text(comparison: Comparison) -> str:
    """Return the comparison in a few lines: verdict, reasons, figures, what got worse, claims."""
    return "\n".join(_lines(comparison))


def _lines(comparison: Comparison) -> Iterator[str]:
    first, second, deviation = comparison.baseline, comparison.candidate, comparison.deviation
    yield (
        f"{comparison.verdict}  B, {named(second)}, against A, {named(first)}, on "
        f"{counted(comparison)}"
    )
    yield from (f"  {reason}" for reason in comparison.reasons)
    yield ""
    yield f"{'':>28}  {_HEAD}"
    for name, paired in measured(comparison):
        yield f"{name:>28}  {_figures(paired)}"
    yield (
        f"{'mean move of a logit':>28}  {deviation.baseline:>7.2g}  {deviation.candidate:>7.2g}  "
        f"{'':>6}  {'':>6}  {deviation.interval.low:>+8.2g} to {deviation.interval.high:>+8.2g}  "
        f"{'':>8}  {deviation.larger_p:>8.2g}  {deviation.state}"
    )
    told = [
        f"{f'{each.name}: {name}':>28}  {_figures(paired)}"
        for each in comparison.classes
        for name, paired in measured_of_class(each)
        if paired.lost or paired.state != "PASS"
    ]
    if told:
        yield from ("", "Of classes, where something was lost or is not shown:", *told)
    yield from _worse(comparison)
    yield from ("", "What is claimed:")
    for claim in comparison.claim:
        yield from wrap(claim, 100, initial_indent="- ", subsequent_indent="  ")


_HEAD = (
    f"{'A':>7}  {'B':>7}  {'A only':>6}  {'B only':>6}  {'difference, at least to most':>20}  "
    f"{'McNemar':>8}  {'B worse':>8}  verdict"
)


def _figures(paired: Paired) -> str:
    return (
        f"{paired.baseline:>7}  {paired.candidate:>7}  {paired.lost:>6}  {paired.gained:>6}  "
        f"{paired.interval.low:>+12.2%} to {paired.interval.high:>+12.2%}  "
        f"{paired.mcnemar_p:>8.2g}  {paired.worse_p:>8.2g}  {paired.state}"
    )


def _worse(comparison: Comparison) -> Iterator[str]:
    listed = comparison.worse
    if not listed:
        return
    yield from ("", "What got worse:")
    yield from (f"  {_image(each)}" for each in listed[:_LINES])
    if len(listed) > _LINES:
        yield f"  and {len(listed) - _LINES} more, which --format json has"


def _image(image: WorseImage) -> str:
    return f"{image.name}: {what_became(image)}"


def what_became(image: WorseImage) -> str:
    """Say in a few words what the candidate does worse."""
    parts = []
    if image.became_wrong:
        parts.append(f"is called {image.candidate_label} instead of {image.baseline_label}")
    if image.lost_label:
        turned = image.turned
        at = "" if turned is None else f", {turned.label} at {turned.element}"
        parts.append(f"no longer keeps its label {image.candidate_label} when turned{at}")
    if not parts:
        parts.append(
            f"its logits move by {image.candidate_deviation:.2g} instead of "
            f"{image.baseline_deviation:.2g} of the largest"
        )
    return "; ".join(parts)
