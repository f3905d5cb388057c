"""The options of `orbitserve evaluate`, and what it does in order."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from commands.options import (
    DEFAULT_MODEL,
    MODEL_UNDER_TEST,
    ApiKey,
    Device,
    GroupBy,
    Json,
    Output,
    Repository,
    ServedModel,
    Shown,
)


def evaluate(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help=f"{MODEL_UNDER_TEST}; else {DEFAULT_MODEL}."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder with one sub-folder of images a class, or an audit.npz; without it, the "
            "audit set that came with the model."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV file of image files and what they show, for any other folder."),
    ] = None,
    group_by: GroupBy = None,
    at_least: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.9999, help="Part of all images that must get the right label."
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of every interval.")
    ] = 0.95,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable", help="Leave out files that cannot be read, and list them."
        ),
    ] = False,
    pictures: Annotated[
        int,
        typer.Option(min=0, help="How many wrong images are shown; all of them are listed."),
    ] = 60,
    json: Json = False,
    output: Output = None,
    repository: Repository = None,
    device: Device = None,
    model: ServedModel = None,
    api_key: ApiKey = None,
    progress: Shown = "auto",
) -> None:
    """Measure how often a model is right on images whose classes are known.

    The exit status is 0, and 3 for an error. With --at-least it is 0 where enough images are shown
    to get the right label, 1 where too few are, and 2 where these images do not decide it.

    Example: orbitserve evaluate my-parts ./parts --output parts.html --output parts.csv

    Example: orbitserve evaluate my-parts ./parts --at-least 0.95 --group-by folder
    """
    from audit.evaluation import Asked
    from audit.evaluation import evaluate as run
    from audit.labels import refuse_several_labels
    from audit.render.evaluation import EVALUATION_FORMATS
    from commands.audit.replay import given_options
    from commands.audit.target import open_target
    from commands.display import chosen_progress
    from commands.evaluate.images import read_labelled
    from commands.outputs import Outputs
    from commands.reading import settings_of_a_command
    from commands.verdicts import exit_status, read_fail_on
    from service.audits.reproduce import replay

    read = (target, folder, labels, group_by)
    outputs = Outputs.read(EVALUATION_FORMATS, output, json=json, read=read)
    settings = settings_of_a_command(repository, device)
    opened = open_target(target, settings, model, api_key)
    identity = opened.under_test.identity
    refuse_several_labels(identity.multi_label, opened.name, "evaluated")
    with closing(opened.under_test), chosen_progress(progress) as show:
        labelled = read_labelled(
            folder,
            opened,
            settings,
            lambda done, total: show("images", done, total),
            labels=labels,
            group_by=group_by,
            skip_unreadable=skip_unreadable,
        )
        found = run(
            opened.under_test,
            labelled.images,
            Asked(at_least=at_least, confidence=confidence),
            source=labelled.source,
            pictures=pictures,
            unread=labelled.unread,
            replay=replay(
                opened.name,
                [*([] if folder is None else [str(folder)]), *given_options(context)],
                settings,
                [name for name, value in context.params.items() if value is not None],
                command="evaluate",
            ),
            progress=lambda done, total: show("evaluation", done, total),
        )
    outputs.write(found)
    if found.verdict is not None:
        raise typer.Exit(exit_status(found.verdict, read_fail_on(None)))
