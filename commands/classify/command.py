"""`orbitserve classify`: labels of image files."""

from pathlib import Path
from typing import Annotated

import typer

from commands.options import DEFAULT_MODEL, Device, Repository


def classify(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    model: Annotated[
        str | None, typer.Option(help=f"<name> or <name>/<version>; else {DEFAULT_MODEL}.")
    ] = None,
    repository: Repository = None,
    device: Device = None,
) -> None:
    """Classify image files, a line each: probability, label, file.

    Example: orbitserve classify examples/digit.png
    """
    from commands.reading import settings_of_a_command
    from service.decoding.files import find_images, read_images
    from service.repository.local import open_model

    settings = settings_of_a_command(repository, device)
    paths = find_images(images)
    opened = open_model(model, settings)
    pictures = read_images(paths, opened.card.input, settings.max_pixels)
    probabilities = opened.session.run(pictures).probabilities
    for path, row in zip(paths, probabilities, strict=True):
        typer.echo(f"{row.max():.4f}  {opened.card.classes[row.argmax()]}  {path}")
