"""A report for a terminal."""

from collections.abc import Iterator
from textwrap import wrap

from audit.angles import AngleOutcome
from audit.circle import CircleOutcome
from audit.report import Report

_LINES = 12


def render_text(report: Report) -> str:
    """Return the report in a few lines: verdict, reasons, figures, self-tests, claims."""
    lines = [*_lines(report)]
    if report.angles is not None:
        lines += ["", *_angle_lines(report.angles)]
    if report.circle is not None:
        lines += ["", *_circle_lines(report.circle)]
    return "\n".join([*lines, "", "What is claimed:", *_claims(report)])


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
        + ("" if floor.elsewhere is None else f"{floor.elsewhere:.3g} opened otherwise, ")
        + f"in logits up to {figures.largest_logit:.3g}"
    )
    if repeating := floor.repeating:
        yield (
            f"asked again    {repeating.agreeing_images} of {figures.images} keep their label, and "
            "not all bits are equal"
        )
    below = [str(cell.label) for cell in figures.classes if cell.below]
    yield f"classes        below what is asked (Holm): {', '.join(below) or 'none'}"
    yield f"label entropy  {figures.label_entropy:.2f} bits"
    if accuracy := figures.accuracy:
        yield f"accuracy       {accuracy.correct} of {accuracy.count}"
    if tested := report.self_test:
        yield (
            f"self-test      {tested.mutation}: {tested.mutant}; bright told from dark: "
            f"{tested.twin}"
        )


def _angle_lines(outcome: AngleOutcome) -> Iterator[str]:
    figures, sampling = outcome.figures, outcome.sampling
    yield f"{outcome.verdict}  at {sampling.count} angles, {sampling.method}"
    yield (
        f"{'degrees':>10}  {'agreement':>9}  {'all bands at once':>18}  {'and back':>8}  "
        f"{'logits, mean':>12}  {'and back':>8}  {'margin':>6}"
    )
    # Of a fine curve some points, from all around.
    for point in figures.curve[:: -(-len(figures.curve) // _LINES)]:
        band = f"{point.band.low:.2%} {point.band.high:.2%}"
        yield (
            f"{point.degrees:>10.4g}  {point.agreement:>9.2%}  {band:>18}  "
            f"{point.control_agreement:>8.2%}  {point.mean_deviation:>12.3g}  "
            f"{point.control_deviation:>8.3g}  {point.median_margin:>6.3g}"
        )
    yield ""
    interval = figures.agreement_interval
    yield (
        f"all angles     {figures.agreeing_images} of {figures.images} keep their label: "
        f"{interval.low:.2%} to {interval.high:.2%}"
    )
    yield (
        f"and back       {figures.control_agreeing} of {figures.images} keep it; "
        f"{figures.turned_only} lose it only when turned"
    )
    if figures.damped_agreeing is not None:
        yield f"damped only    {figures.damped_agreeing} of {figures.images} keep it, not turned"
    yield f"disc           {figures.disc_changed} labels change by filling what is outside it"
    yield f"label entropy  {figures.label_entropy:.2f} bits"
    if figures.accuracy is not None:
        least = min(point.accuracy or 0.0 for point in figures.curve)
        yield f"accuracy       {figures.accuracy:.2%} upright, {least:.2%} at the worst angle"
    worst = figures.worst[0]
    yield (
        f"worst          image {worst.index} at {worst.degrees:.4g} degrees: label {worst.label} "
        f"upright, {worst.turned_label} turned, margin {worst.margin:.3g}"
    )
    below = [str(cell.label) for cell in figures.classes if cell.below]
    yield f"classes        below what is asked (Holm): {', '.join(below) or 'none'}"
    if tested := outcome.self_test:
        quarters = "exact" if tested.quarters_exact else "NOT exact"
        yield (
            f"self-test      told up from down: {tested.mutant}; bright told from dark: "
            f"{tested.twin}; quarter turns: {quarters}"
        )


def _circle_lines(outcome: CircleOutcome) -> Iterator[str]:
    interval = outcome.constant_interval
    yield (
        f"every angle    {outcome.constant_images} of {len(outcome.images)} images have one label "
        f"on the whole circle: {interval.low:.2%} to {interval.high:.2%}"
    )
    for image in outcome.images:
        kept = "whole circle" if image.constant else f"{image.kept_degrees:.4f} degrees"
        yield (
            f"{image.index:>10}  label {image.label}  {kept:>17}  "
            f"margin {image.smallest_margin:.3g} at {image.at_degrees:.4f}  "
            f"({image.distinct_images} images)"
        )
        others = [arc for arc in image.arcs if arc.label != image.label]
        for arc in others[:_LINES]:
            yield f"{'':>12}label {arc.label} from {arc.start:.4f} to {arc.stop:.4f}"
        if len(others) > _LINES:
            yield f"{'':>12}and {len(others) - _LINES} more arcs"


def _claims(report: Report) -> Iterator[str]:
    claims = [*report.claim]
    if report.angles is not None:
        claims += report.angles.claim
    if report.circle is not None:
        claims += report.circle.claim
    for claim in claims:
        yield from wrap(claim, 100, initial_indent="- ", subsequent_indent="  ")
