"""The options of `orbitserve compare`, and what it does in order."""

from typing import Annotated

import typer

from commands.options import (
    MODEL_UNDER_TEST,
    ApiKey,
    Device,
    FailOn,
    Images,
    Output,
    Repository,
    Shown,
)

_SIDE = f"A report's JSON file, {MODEL_UNDER_TEST}."


def compare(
    baseline: Annotated[str, typer.Argument(metavar="A", help=f"What was there before. {_SIDE}")],
    candidate: Annotated[
        str, typer.Argument(metavar="B", help="What is to take its place: likewise.")
    ],
    images: Images = None,
    repository: Repository = None,
    device: Device = None,
    api_key: ApiKey = None,
    group: Annotated[
        str | None, typer.Option(help="For models: group to try on both; else that of A.")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="For models: what images were taken of, to count it once: folder, or a CSV file "
            "of names and groups."
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.0001, max=0.99, help="Part of all images B may be worse on.")
    ] = 0.01,
    class_margin: Annotated[
        float, typer.Option(min=0.0001, max=0.99, help="Part of each class it may be worse on.")
    ] = 0.2,
    no_classes: Annotated[
        bool, typer.Option("--no-classes", help="Ask nothing of classes apart.")
    ] = False,
    deviation_margin: Annotated[
        float,
        typer.Option(
            min=1e-9, help="How much farther a logit may move on the average, of the largest one."
        ),
    ] = 0.01,
    logit_tolerance: Annotated[
        float | None,
        typer.Option(
            min=0, help="How far a logit may move to count as kept; else as both audits had it."
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of PASS, and of FAIL.")
    ] = 0.95,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Keep images out of the comparison.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
    report_format: Annotated[
        str | None, typer.Option("--format", help="Format of the comparison: text, json or html.")
    ] = None,
    output: Output = None,
    language: Annotated[str, typer.Option(help="Language of text and html: en or de.")] = "en",
    fail_on: FailOn = None,
    progress: Shown = "auto",
) -> None:
    """Say whether B is worse than A on the same images, upright and rotated.

    The exit status is 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE and 3 for an error. With
    --fail-on, verdicts that it does not name give 0.

    Example: orbitserve compare rotmnist-c4/1 rotmnist-c4/2 --images ./photos

    Example: orbitserve compare last-release.json report.json --fail-on fail --output gate.html
    """
    from audit.comparison import Margins
    from audit.comparison import compare as compare_reports
    from audit.render.comparison import render_comparison
    from commands.audit.outputs import exit_status, read_fail_on
    from commands.compare.outputs import (
        read_comparison_format,
        read_comparison_outputs,
        read_language,
    )
    from commands.compare.sides import Asked, read_sides
    from commands.display import chosen_progress
    from commands.reading import settings_of_a_command
    from commands.writing import write_file

    asked = read_comparison_format(report_format, json=json, outputs=bool(output))
    outputs, failures = read_comparison_outputs(output or [], asked), read_fail_on(fail_on)
    spoken = read_language(language)
    margins = Margins(
        margin=margin,
        class_margin=None if no_classes else class_margin,
        deviation_margin=deviation_margin,
        logit_tolerance=logit_tolerance,
        confidence=confidence,
    )
    settings = settings_of_a_command(repository, device)
    with chosen_progress(progress) as show:
        how = Asked(
            images or [],
            group,
            group_by,
            api_key,
            settings,
            show,
            tell=lambda told: None if progress == "none" else typer.echo(told, err=True),
        )
        sides = read_sides(baseline, candidate, how)
    made = compare_reports(
        sides.baseline,
        sides.candidate,
        margins,
        images=sides.images,
        pictures=not no_pictures,
    )
    comparison = made.model_copy(update={"claim": (*made.claim, *sides.notes)})
    printed = "json" if json else "text" if outputs or asked is None else asked
    typer.echo(render_comparison(comparison, printed, spoken), nl=False)
    for path, each in outputs:
        write_file(path, render_comparison(comparison, each, spoken))
    raise typer.Exit(exit_status(comparison.verdict, failures))
