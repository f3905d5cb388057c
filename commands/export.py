"""`orbitserve export`: a trained network becomes versions of a model repository."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import DataFolder, Repository

if TYPE_CHECKING:
    from models.datasets.data_set import DataSet


def export(
    name: Annotated[str, typer.Argument(help="Name of the run, and of the model it becomes.")],
    precision: Annotated[
        str,
        typer.Option(help="Precisions with commas in between, such as fp32,int8."),
    ] = "fp32",
    runs: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    repository: Repository = None,
    folder: DataFolder = Path("data"),
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images that the network was trained on, if it lies elsewhere now."
        ),
    ] = None,
) -> None:
    """Bake a trained network into one ONNX file and package it as the model's next version.

    Other precisions than fp32 are made from the latest fp32 version in the repository, compared
    with it on the test images, and become models of their own, such as rotmnist-c4-int8.

    Example: orbitserve export rotmnist-c4 --precision fp32,int8
    """
    from commands.display import shown_progress
    from commands.reading import settings_of_a_command
    from export.derive import Source, derive, latest_float, read_precisions
    from export.package import package
    from models.checkpoint import Run

    asked = read_precisions(precision)
    models = settings_of_a_command(repository).repository
    others = [other for other in asked if other != "fp32"]
    made: list[Path] = []
    try:
        if "fp32" in asked:
            run = Run.open(runs / name)
            with shown_progress() as progress:
                made.append(package(run, models, name, progress))
        if others:
            version = latest_float(models, name)
            source = Source.open(version, _data(name, version, folder, images, runs / name))
            with shown_progress() as progress:
                made.extend(derive(source, others, models, progress))
    finally:  # behind all work, which a line that cannot be printed would end
        for path in made:
            typer.echo(path)


def _data(name: str, version: Path, folder: Path, images: Path | None, place: Path) -> "DataSet":
    """Read the images that a version was trained on, as its run did or its card says."""
    from artifact.card import load_card
    from artifact.layout import CARD_FILE
    from imaging import RefusedError
    from models.checkpoint import Run
    from models.datasets.folder_source import FolderSource
    from models.experiment import NAMES, data_set_of, named_experiment
    from models.trainer import read_again

    card = load_card(version / CARD_FILE)
    if card.training is None:
        raise RefusedError(
            f"{version} was not trained by orbitserve, and only a version that was is exported in "
            "other precisions."
        )
    source = Run.open(place).info.source if Run.is_in(place) else None
    if source is None and images is not None:
        given = card.input
        source = FolderSource(
            folder=images,
            size=given.fit.size,
            fit=given.fit.mode,
            channels=given.channels,
            white_level=given.white_level,
        )
    elif source is not None and images is not None:
        source = source.model_copy(update={"folder": images})
    if source is not None:
        return read_again(source)
    for network in NAMES:  # whose run may have had another name
        if data_set_of(network) == card.training.data_set:
            return named_experiment(network, folder).data
    raise RefusedError(f"{name} was trained on a folder of images; --images names it.")
