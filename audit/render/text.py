"""A report for a terminal."""

from collections.abc import Iterator

from audit.report import Report


def render_text(report: Report) -> str:
    """Return the report in a few lines: verdict, reasons, figures, self-test."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    model, figures, floor = report.model, report.figures, report.noise_floor
    yield f"{report.verdict}  {model.name} version {model.version}, over {report.group}"
    yield from (f"  {reason}" for reason in report.reasons)
    yield ""
    yield f"{'turn':>10}  {'labels changed':>14}  {'logits, max':>12}  {'probabilities, max':>18}"
    for element in figures.elements:
        yield (
            f"{element.element:>10}  {element.changed_labels:>14}  "
            f"{element.max_logit_deviation:>12.3g}  {element.max_probability_deviation:>18.3g}"
        )
    yield ""
    interval = figures.agreement_interval
    yield f"images         {figures.images}, {report.data.source}"
    yield (
        f"agreement      {figures.agreeing_images} of {figures.images} keep their label on their "
        f"orbit: {interval.low:.2%} to {interval.high:.2%}"
    )
    yield (
        f"noise floor    {floor.repeat:.3g} run again, {floor.regrouped:.3g} in another batch, "
        f"in logits up to {figures.largest_logit:.3g}"
    )
    yield f"label entropy  {figures.label_entropy:.2f} bits"
    if accuracy := figures.accuracy:
        yield f"accuracy       {accuracy.correct} of {accuracy.count}"
    if tested := report.self_test:
        yield (
            f"self-test      one weight changed: {tested.mutant}; averaged over the group: "
            f"{tested.twin}"
        )
