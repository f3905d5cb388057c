"""`orbitserve audit`: whether turned images get the same answer."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.options import DEFAULT_MODEL, Device, Repository


def audit(
    model: Annotated[str, typer.Argument(help="<name> or <name>/<version>.")] = DEFAULT_MODEL,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Image files, or folders of them; without any, the bundled audit set."),
    ] = None,
    repository: Repository = None,
    device: Device = None,
    group: Annotated[str | None, typer.Option(help="Group to try; else the card's.")] = None,
    agreement: Annotated[
        float, typer.Option(min=0.01, max=0.9999, help="Part of all images that must keep a label.")
    ] = 0.99,
    logit_tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="How far a logit may move, relative to the largest one; else what its precision "
            "allows, and 0 for integers.",
        ),
    ] = None,
    angles: Annotated[
        int | None,
        typer.Option(min=8, max=3600, help="Also turn every image by so many angles of a circle."),
    ] = None,
    resampler: Annotated[
        Literal["nearest", "bilinear", "bicubic"], typer.Option(help="How pixels are found there.")
    ] = "bilinear",
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Start the angles of each image at a random offset of its own."),
    ] = None,
    angle_agreement: Annotated[
        float,
        typer.Option(
            min=0.01, max=0.9999, help="Part of all images that must keep a label at all angles."
        ),
    ] = 0.95,
    circle: Annotated[
        bool, typer.Option("--circle", help="Also try some images at every angle there is.")
    ] = False,
    circle_images: Annotated[int, typer.Option(min=1, help="How many, for --circle.")] = 8,
    json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Measure whether turned images get the same answer.

    The exit status is 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE and 3 for an error.

    Example: orbitserve audit rotmnist-c4 --images ./photos

    Example: orbitserve audit rotmnist-c4 --angles 36 --resampler bilinear --circle
    """
    from audit import AnglePlan, AngleThresholds, Thresholds
    from audit.render import render_text
    from imaging import Resampler
    from service.auditing import audit_model
    from service.offline import find_images, open_model, read_images
    from service.settings import read_settings

    settings = read_settings(repository=repository, device=device)
    opened = open_model(model, settings)
    pixels, source = None, ""
    if images:
        paths = find_images(images)
        pixels, source = read_images(paths, opened, settings), ", ".join(map(str, images))
    pixels_by = Resampler(resampler, opened.card.input.fit.fill)
    report = audit_model(
        opened,
        images=pixels,
        source=source,
        group=group,
        thresholds=Thresholds.of(
            opened.card.precision, agreement=agreement, logit_tolerance=logit_tolerance
        ),
        angles=None if angles is None else AnglePlan(angles, pixels_by, seed),
        angle_thresholds=AngleThresholds(agreement=angle_agreement),
        circle_images=circle_images if circle else 0,
    )
    typer.echo(report.model_dump_json(indent=2) if json else render_text(report))
    raise typer.Exit({"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}[report.verdict])
