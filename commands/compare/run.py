"""What `orbitserve compare` does, in order."""

from typing import Annotated, Any

import typer

from audit.comparison import ComparisonOptions
from audit.comparison import compare as compare_reports
from audit.render import Language
from audit.render.comparison import COMPARISON_FORMATS
from commands.compare.sides import Asked, read_sides
from commands.display import chosen_progress, telling
from commands.model_options import read_options
from commands.options import (
    MODEL_UNDER_TEST,
    ApiKey,
    Device,
    FailOn,
    GroupBy,
    Images,
    Json,
    Output,
    Repository,
    Shown,
)
from commands.outputs import Outputs
from commands.reading import settings_of_a_command
from commands.verdicts import exit_status, read_fail_on

_SIDE = f"A report's JSON file, {MODEL_UNDER_TEST}."


def run(
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
    group_by: GroupBy = None,
    json: Json = False,
    report_format: Annotated[
        str | None, typer.Option("--format", help="Format of the comparison: text, json or html.")
    ] = None,
    output: Output = None,
    language: Annotated[Language, typer.Option(help="Language of text and html.")] = "en",
    fail_on: FailOn = None,
    progress: Shown = "auto",
    **asked: Any,
) -> None:
    """Compare two models or reports; `asked` has the fields of `ComparisonOptions`."""
    read = (baseline, candidate, group_by, *(images or ()))
    outputs = Outputs.read(COMPARISON_FORMATS, output, report_format, json=json, read=read)
    failures, options = read_fail_on(fail_on), read_options(ComparisonOptions, asked)
    settings = settings_of_a_command(repository, device)
    with chosen_progress(progress) as show:
        how = Asked(
            images or [],
            group,
            group_by,
            api_key,
            settings,
            show,
            telling(progress),
        )
        sides = read_sides(baseline, candidate, how)
    made = compare_reports(
        sides.baseline,
        sides.candidate,
        options.margins,
        images=sides.images,
        pictures=options.pictures,
    )
    comparison = made.model_copy(update={"claim": (*made.claim, *sides.notes)})
    outputs.write(comparison, language)
    raise typer.Exit(exit_status(comparison.verdict, failures))
