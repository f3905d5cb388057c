"""The same audit of three shipped networks side by side: a table, and a picture of each.

Run ``python -m benchmarks.reports``. It prints the table of docs/audit.md and draws the pictures
beside it, all to one scale.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from audit import AnglePlan, ExhaustiveOutcome, Report, ResolvedOptions, Thresholds
from audit.angles import AngleOutcome
from audit.render.html import centre_of, render_polar
from benchmarks.machine import describe_machine
from imaging import Resampler
from service.audits.run import audit_model
from service.environment import read_settings
from service.repository.local import open_model

MODELS = ("rotmnist-c8", "rotmnist-c4", "rotmnist-cnn")
ANGLES = 36
EXHAUSTIVE_IMAGES = 8

Cell = Callable[[Report, AngleOutcome, ExhaustiveOutcome], str]


def main() -> None:
    """Audit, draw, then print a Markdown table with a column a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--folder", type=Path, default=Path("docs/reports"))
    options = parser.parse_args()
    reports = [_audit(name) for name in options.models]
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in draw(reports):
        (options.folder / f"{name}.svg").write_bytes(drawing)
    print(f"{describe_machine()}\n")
    print("\n".join(table(reports)))


def draw(reports: Sequence[Report]) -> Iterator[tuple[str, bytes]]:
    """Draw agreement by angle of each report, all to one scale."""
    found = [(report.model.name, report.angles) for report in reports if report.angles is not None]
    low = min(centre_of(angles.figures.curve) for _, angles in found)
    for name, angles in found:
        yield name, render_polar(angles, low)


def table(reports: Sequence[Report]) -> Iterator[str]:
    """Lay the figures of reports that have all parts side by side."""
    yield "| figure | " + " | ".join(f"`{report.model.name}`" for report in reports) + " |"
    yield "| --- " * (1 + len(reports)) + "|"
    for name, cell in _ROWS.items():
        cells = [
            cell(report, report.angles, report.exhaustive_angles)
            for report in reports
            if report.angles is not None and report.exhaustive_angles is not None
        ]
        yield f"| {name} | " + " | ".join(cells) + " |"


def _audit(name: str) -> Report:
    model = open_model(name, read_settings())
    card = model.card
    options = ResolvedOptions(
        card.audit.group,
        Thresholds.of(card.precision),
        angles=AnglePlan(ANGLES, Resampler("bilinear", card.input.fit.fill)),
        exhaustive_images=EXHAUSTIVE_IMAGES,
    )
    return audit_model(model, options)


def _kept(report: Report, angles: AngleOutcome, exhaustive_angles: ExhaustiveOutcome) -> str:
    found, interval = angles.figures, angles.figures.agreement_interval
    return f"{_of(found.agreeing_images, found.images)}: {interval.low:.2%} to {interval.high:.2%}"


def _least_accuracy(
    report: Report, angles: AngleOutcome, exhaustive_angles: ExhaustiveOutcome
) -> str:
    found = angles.figures
    if found.accuracy is None:
        return "-"
    least = min(point.accuracy or 0.0 for point in found.curve)
    return f"{least:.2%} ({found.accuracy:.2%})"


def _at_30(report: Report, angles: AngleOutcome, exhaustive_angles: ExhaustiveOutcome) -> str:
    (point,) = [point for point in angles.figures.curve if round(point.degrees) == 30]
    moved = [point.mean_deviation, point.control_deviation, point.damped_deviation or 0.0]
    return ", ".join(f"{value:.2f}" for value in moved)


def _asked(report: Report, angles: AngleOutcome, exhaustive_angles: ExhaustiveOutcome) -> str:
    counts = sorted(image.distinct_images for image in exhaustive_angles.images)
    return f"{counts[0]:,} to {counts[-1]:,}"


def _of(count: int | None, images: int) -> str:
    return f"{count} of {images}"


_ROWS: dict[str, Cell] = {
    "keep their label under quarter turns": lambda report, angles, exhaustive_angles: _of(
        report.figures.agreeing_images, report.figures.images
    ),
    "largest change of a logit there, of the largest": lambda report, angles, exhaustive_angles: (
        f"{report.figures.relative_logit_deviation:.2g}"
    ),
    "verdict on the exact orbit": lambda report, angles, exhaustive_angles: report.orbit_verdict,
    f"keep their label at {ANGLES} angles, bilinear": _kept,
    "keep it rotated and rotated back": lambda report, angles, exhaustive_angles: _of(
        angles.figures.control_agreeing, angles.figures.images
    ),
    "keep it damped, and not rotated": lambda report, angles, exhaustive_angles: _of(
        angles.figures.damped_agreeing, angles.figures.images
    ),
    "lose it only when rotated": lambda report, angles, exhaustive_angles: str(
        angles.figures.rotated_only
    ),
    "lowest accuracy at any angle (upright)": _least_accuracy,
    "mean change of a logit at 30 degrees, rotated back, damped": _at_30,
    "verdict at sampled angles": lambda report, angles, exhaustive_angles: angles.verdict,
    "one label at every angle, nearest neighbour": lambda report, angles, exhaustive_angles: _of(
        exhaustive_angles.constant_images, len(exhaustive_angles.images)
    ),
    "images classified for that, each": _asked,
}


if __name__ == "__main__":
    main()
