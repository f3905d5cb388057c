"""What was found in each part of an audit, as lines of text."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from audit.angles import AngleOutcome
from audit.exhaustive import ExhaustiveOutcome
from audit.names import readable
from audit.phrases import percent, up_to
from audit.proved import ProofSummary
from audit.render.checks import checks
from audit.render.language import Words
from audit.render.naming import Naming
from audit.report import NoiseFloor, Report
from audit.statistics import Cell

_WIDTH = 100
_NAME = 20
_LINES = 12
_CLASSES = 20


def orbit_lines(report: Report, words: Words, naming: Naming) -> Iterator[str]:
    """The symmetries of the pixel grid."""
    figures, interval = report.figures, report.figures.agreement_interval
    yield words("The symmetries of the pixel grid that were tried")
    head = (words("rotation"), words("labels changed"), words("logits, max"))
    widths = [max(10, len(head[0])), max(14, len(head[1])), max(12, len(head[2])), 18]
    yield _columns((*head, words("probabilities, max")), widths)
    for element in figures.elements:
        moved = (element.max_logit_deviation, element.max_probability_deviation)
        cells = (element.element, str(element.changed_labels), *(f"{each:.3g}" for each in moved))
        yield _columns(cells, widths)
    yield ""
    source = readable(report.data.source)
    yield from _fact(words("images"), f"{figures.images}, {source}")
    yield from _fact(
        words("kept labels"),
        words(
            "{agreeing} of {images} keep their label under all of these; of all images like them, "
            "{low} to {high} do",
            agreeing=figures.agreeing_images,
            images=figures.images,
            low=percent(interval.low),
            high=up_to(interval.high),
        ),
    )
    for worst in report.worst[:1]:
        yield from _fact(
            words("worst image"),
            words(
                "{image}, {rotation}: {upright} upright, {rotated} rotated, a logit changes by "
                "{deviation:.3g}",
                image=naming.image(worst.index),
                rotation=naming.rotation(worst.element),
                upright=naming.label(worst.label),
                rotated=naming.label(worst.rotated_label),
                deviation=worst.logit_deviation,
            ),
        )
    yield from _noise(report.noise_floor, figures.largest_logit, figures.images, words)
    yield from _classes(figures.classes, words, naming)
    yield from _variety(figures.label_entropy, words)
    if accuracy := figures.accuracy:
        yield from _fact(
            words("right labels"),
            words(
                "{correct} of {count} upright images",
                correct=accuracy.correct,
                count=accuracy.count,
            ),
        )


def proof_lines(summary: ProofSummary, words: Words) -> Iterator[str]:
    """What is proved of the file."""
    if summary.outcome is None:
        yield from _fact(words("proof"), words.sentence(summary.sentence()))
        return
    if summary.outcome == "NOT PROVED":
        yield from _fact(words("proof"), f"{summary.outcome}, {summary.subgroup}")
        return
    covers = words("all that was tried") if summary.covers else words("not all that was tried")
    bits = words("every bit") if summary.exact_bits else words("real arithmetic")
    said = words(
        "{outcome} over {subgroup}: {covers}; {bits}",
        outcome=summary.outcome,
        subgroup=summary.subgroup,
        covers=covers,
        bits=bits,
    )
    yield from _fact(words("proof"), said)


def angle_lines(outcome: AngleOutcome, words: Words, naming: Naming) -> Iterator[str]:
    """The angles between the quarter turns."""
    figures, sampling = outcome.figures, outcome.sampling
    yield words(
        "{verdict}  at {count} angles, {method}",
        verdict=outcome.verdict,
        count=sampling.count,
        method=words(sampling.method),
    )
    titles = [
        *(words("degrees"), words("kept"), words("its interval"), words("rotated back")),
        *(words("logits, mean"), words("rotated back"), words("margin")),
    ]
    least = (7, 7, 16, 7, 8, 8, 6)
    widths = [max(len(title), width) for title, width in zip(titles, least, strict=True)]
    yield _columns(titles, widths)
    # Of a fine curve some points, from all around.
    for point in figures.curve[:: -(-len(figures.curve) // _LINES)]:
        cells = (
            f"{point.degrees:.4g}",
            percent(point.agreement),
            f"{percent(point.band.low)} {up_to(point.band.high)}",
            percent(point.control_agreement),
            f"{point.mean_deviation:.3g}",
            f"{point.control_deviation:.3g}",
            f"{point.median_margin:.3g}",
        )
        yield _columns(cells, widths)
    yield ""
    interval = figures.agreement_interval
    yield from _fact(
        words("kept labels"),
        words(
            "{agreeing} of {images} keep their label at all of these angles; of all images like "
            "them, {low} to {high} do",
            agreeing=figures.agreeing_images,
            images=figures.images,
            low=percent(interval.low),
            high=up_to(interval.high),
        ),
    )
    yield from _fact(
        words("rotated back"),
        words(
            "{agreeing} of {images} keep it when rotated and rotated back, upright again: what "
            "others lose, interpolation alone can take; {rotated_only} lose it only when rotated",
            agreeing=figures.control_agreeing,
            images=figures.images,
            rotated_only=figures.rotated_only,
        ),
    )
    if figures.damped_agreeing is not None:
        yield from _fact(
            words("blurred only"),
            words(
                "{agreeing} of {images} keep it when blurred as by a rotation, and not rotated",
                agreeing=figures.damped_agreeing,
                images=figures.images,
            ),
        )
    yield from _fact(
        words("corners"),
        words(
            "{changed} labels change when the corners, outside of the disc, are filled",
            changed=figures.disc_changed,
        ),
    )
    yield from _classes(figures.classes, words, naming)
    yield from _variety(figures.label_entropy, words)
    if figures.accuracy is not None:
        yield from _fact(
            words("right labels"),
            words(
                "{upright} upright, {least} at the worst angle",
                upright=percent(figures.accuracy),
                least=percent(min(point.accuracy or 0.0 for point in figures.curve)),
            ),
        )
    worst = figures.worst[0]
    yield from _fact(
        words("worst image"),
        words(
            "{image} at {degrees:.4g} degrees: {upright} upright, {rotated} rotated, margin "
            "{margin:.3g}",
            image=naming.image(worst.index),
            degrees=worst.degrees,
            upright=naming.label(worst.label),
            rotated=naming.label(worst.rotated_label),
            margin=worst.margin,
        ),
    )


def exhaustive_lines(outcome: ExhaustiveOutcome, words: Words, naming: Naming) -> Iterator[str]:
    """Every angle of some images."""
    interval = outcome.constant_interval
    yield from _fact(
        words("every angle"),
        words(
            "{constant} of {images} images have one label at every angle; of all images like "
            "them, {low} to {high} do",
            constant=outcome.constant_images,
            images=len(outcome.images),
            low=percent(interval.low),
            high=up_to(interval.high),
        ),
    )
    for image in outcome.images:
        yield words(
            "  {image}: {label} on {degrees:.4f} of 360 degrees, least margin {margin:.3g} at "
            "{angle:.4f}",
            image=naming.image(image.index),
            label=naming.label(image.label),
            degrees=image.kept_degrees,
            margin=image.smallest_margin,
            angle=image.at_degrees,
        )
        others = [
            label_interval
            for label_interval in image.intervals
            if label_interval.label != image.label
        ]
        for label_interval in others[:_LINES]:
            yield words(
                "    {label} from {start:.4f} to {stop:.4f}",
                label=naming.label(label_interval.label),
                start=label_interval.start,
                stop=label_interval.stop,
            )
        if len(others) > _LINES:
            yield words("    and {count} more intervals", count=len(others) - _LINES)


def _noise(floor: NoiseFloor, largest: float, images: int, words: Words) -> Iterator[str]:
    said = words(
        "without any rotation, a logit changes by up to {repeat:.3g} when run again and by "
        "{regrouped:.3g} in another batch; the largest logit is {largest:.3g}",
        repeat=floor.repeat,
        regrouped=floor.regrouped,
        largest=largest,
    )
    if floor.elsewhere is not None:
        said += "; " + words(
            "by {elsewhere:.3g} with another number of threads", elsewhere=floor.elsewhere
        )
    yield from _fact(words("noise"), said)
    if repeating := floor.repeating:
        yield from _fact(
            words("asked again"),
            words(
                "{agreeing} of {images} keep their label when asked about again as often as they "
                "were rotated; not all answers are the same",
                agreeing=repeating.agreeing_images,
                images=images,
            ),
        )


def _classes(classes: Sequence[Cell], words: Words, naming: Naming) -> Iterator[str]:
    below = [cell for cell in classes if cell.below]
    if not below:
        yield from _fact(words("classes"), words("none is shown to lose its labels"))
    for place, cell in enumerate(below[:_CLASSES]):
        yield from _fact(
            "" if place else words("classes"),
            words(
                "{label}: only {agreeing} of {images} keep their label",
                label=naming.label(cell.label),
                agreeing=cell.agreeing,
                images=cell.images,
            ),
        )
    if len(below) > _CLASSES:
        yield from _fact("", words("and {count} more classes", count=len(below) - _CLASSES))


def _variety(entropy: float, words: Words) -> Iterator[str]:
    yield from _fact(
        words("variety"),
        words(
            "the labels are as varied as {classes:.1f} classes that are equally frequent",
            classes=2**entropy,
        ),
    )


def self_test_lines(report: Report, check_id: str, words: Words) -> Iterator[str]:
    """How the audit was tried first, if it was."""
    for check in checks(report):
        if check.id == check_id:
            said = " ".join(words.sentence(sentence) for sentence in check.reasons)
            yield from _fact(words("self-test"), said)


def _fact(name: str, said: str) -> Iterator[str]:
    yield from wrap(
        said,
        _WIDTH,
        initial_indent=f"{name:<{_NAME}}",
        subsequent_indent=" " * _NAME,
        break_on_hyphens=False,
    )


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
