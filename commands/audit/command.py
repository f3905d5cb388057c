"""The options of `orbitserve audit`, and what it does in order."""

from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.options import DEFAULT_MODEL, Device, Repository


def audit(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            help="<name> or <name>/<version> of the repository, a file that ends in .onnx, or the "
            "address of a service, http://<host>:<port>/models/<name>."
        ),
    ] = DEFAULT_MODEL,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Image files, folders of them, or one audit.npz; without any, the audit set that "
            "came with the model."
        ),
    ] = None,
    repository: Repository = None,
    device: Device = None,
    model: Annotated[
        str | None, typer.Option(help="Of a service: <name> or <name>/<version>.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="ORBITSERVE_API_KEY", help="Of a service; better by the variable."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Group to try; else the card's, the file's, or C4.")
    ] = None,
    agreement: Annotated[
        float, typer.Option(min=0.01, max=0.9999, help="Part of all images that must keep a label.")
    ] = 0.99,
    class_agreement: Annotated[
        float,
        typer.Option(min=0.01, max=0.9999, help="Part of the images of each class that must."),
    ] = 0.8,
    no_classes: Annotated[
        bool, typer.Option("--no-classes", help="Ask nothing of classes apart.")
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="What images were taken of, to count it once: folder, or a CSV file of names "
            "and groups."
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of every interval.")
    ] = 0.95,
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
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Keep images out of the report.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Form of the report: json, text, html, junit, sarif, ..."),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            help="File for the report, in the form that its ending names; may be repeated."
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            help="Ledger that the report is appended to: a folder, or a URL that fsspec opens."
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(help="Verdicts that are failures: fail, inconclusive, both, or never."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="File that keeps the answers, for an audit that was interrupted."),
    ] = None,
    progress: Annotated[
        Literal["auto", "plain", "none"],
        typer.Option(help="On standard error: bars on a terminal, plain lines, or nothing."),
    ] = "auto",
) -> None:
    """Measure whether turned images get the same answer.

    The exit status is 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE and 3 for an error. With
    --fail-on, verdicts that it does not name give 0.

    Example: orbitserve audit rotmnist-c4 --images ./photos

    Example: orbitserve audit rotmnist-c4 --angles 36 --resampler bilinear --circle

    Example: orbitserve audit http://localhost:8000/models/rotmnist-c4 --images ./photos
    --fail-on fail,inconclusive --output report.html --output report.sarif
    """
    from audit import AnglePlan, AngleThresholds, Journal, Question, Thresholds, audit_tiers
    from audit.render import render
    from commands.audit.book import open_book
    from commands.audit.outputs import (
        exit_status,
        printed_form,
        read_fail_on,
        read_form,
        read_outputs,
    )
    from commands.audit.replay import given_options
    from commands.audit.target import open_target, read_audit_images
    from commands.display import chosen_progress
    from commands.reading import settings_of_a_command
    from imaging import Resampler
    from service.replay import replay

    asked, failures = read_form(form), read_fail_on(fail_on)
    outputs = read_outputs(output or [], asked)
    printed = printed_form(asked, outputs, json=json)
    settings = settings_of_a_command(repository, device)
    append = open_book(ledger) if ledger else None
    of_classes = None if no_classes else class_agreement
    opened = open_target(target, settings, model, api_key)
    question = Question(
        group=group or opened.group,
        thresholds=Thresholds.of(
            opened.subject.identity.precision,
            agreement=agreement,
            confidence=confidence,
            logit_tolerance=logit_tolerance,
        ).model_copy(update={"class_agreement": of_classes}),
        angles=None
        if angles is None
        else AnglePlan(angles, Resampler(resampler, opened.spec.fit.fill), seed),
        angle_thresholds=AngleThresholds(
            agreement=angle_agreement, confidence=confidence, class_agreement=of_classes
        ),
        circle_images=circle_images if circle else 0,
        pictures=not no_pictures,
    )
    with (
        closing(opened.subject),
        Journal(resume) if resume else nullcontext() as journal,
        chosen_progress(progress) as show,
    ):
        audited, source = read_audit_images(
            images or [],
            opened,
            settings,
            lambda done, total: show("images", done, total),
            group_by=group_by,
        )
        report = audit_tiers(
            opened.subject.recorded(journal) if journal else opened.subject,
            audited,
            question,
            source=source,
            replay=replay(
                opened.name,
                given_options(context),
                settings,
                [name for name, value in context.params.items() if value is not None],
            ),
            stages=show,
        )
    if journal and progress != "none":
        typer.echo(f"{resume}: {journal.kept} answers kept, {journal.asked} asked", err=True)
    typer.echo(render(report, printed), nl=False)
    for each in outputs:
        each.write(report)
    if append:  # last, since what fails here must not cost the report
        appended = append(report)
        if progress != "none":
            typer.echo(appended, err=True)
    raise typer.Exit(exit_status(report.verdict, failures))
