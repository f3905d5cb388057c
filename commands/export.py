"""`orbitserve export`: a trained network becomes versions of a model repository."""

from pathlib import Path
from typing import Annotated

import typer

from commands.options import DataFolder, Repository


def export(
    name: Annotated[str, typer.Argument(help="Name of the run, and of the model it becomes.")],
    precision: Annotated[
        str,
        typer.Option(help="Some of fp32, fp16, int8 and integer, with commas in between."),
    ] = "fp32",
    runs: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    repository: Repository = None,
    folder: DataFolder = Path("data"),
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images that the network was trained on, if it was one."),
    ] = None,
) -> None:
    """Bake a trained network into one ONNX file and package it as the model's next version.

    Other precisions than fp32 are made from the latest fp32 version in the repository, compared
    with it on the test images, and become models of their own, such as rotmnist-c4-int8.

    Example: orbitserve export rotmnist-c4 --precision fp32,int8
    """
    from artifact.card import load_card
    from artifact.layout import CARD_FILE
    from commands.display import shown_progress
    from commands.reading import settings_of_a_command
    from export.derive import Source, derive, latest_float, read_precisions
    from export.package import package
    from imaging import RefusedError
    from models.checkpoint import Run
    from models.experiment import NAMES, named_experiment
    from models.trainer import read_folder

    asked = read_precisions(precision)
    models = settings_of_a_command(repository).repository
    if "fp32" in asked:
        run = Run.open(runs / name)
        with shown_progress() as progress:
            typer.echo(package(run, models, name, progress))
    others = [other for other in asked if other != "fp32"]
    if not others:
        return
    version = latest_float(models, name)
    if images is not None:
        card = load_card(version / CARD_FILE)
        fit, white = card.input.fit, card.input.white_level
        experiment = read_folder(images, card.group, fit.size, fit.mode, white)
    elif name in NAMES:
        experiment = named_experiment(name, folder)
    else:
        raise RefusedError(f"{name} was trained on a folder of images; --images names it.")
    source = Source.open(version, experiment.data)
    with shown_progress() as progress:
        for path in derive(source, others, models, progress):
            typer.echo(path)
