"""`orbitserve train`: a network, on a data set of the project or a folder of images."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.options import DataFolder, WhiteLevel


def train(
    name: Annotated[
        str,
        typer.Argument(
            help="One of the project's networks, or a folder with one sub-folder of images a class."
        ),
    ],
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
        int | None, typer.Option(min=0, help="Training images held out, instead of the recipe's.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="For a folder: the symmetry of its images; else D4.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="For a folder: the input's side; else that of its images."),
    ] = None,
    fit: Annotated[
        Literal["pad", "crop"] | None,
        typer.Option(help="For a folder: what becomes of oblong images; else pad."),
    ] = None,
    white_level: WhiteLevel = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(
            envvar="ORBITSERVE_DEVICE",
            help="Where to train; auto takes an NVIDIA GPU if PyTorch sees one.",
        ),
    ] = "auto",
    choose: Annotated[
        bool,
        typer.Option(help="Judge each epoch on the data set's images for choices; do not test."),
    ] = False,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a run whose network teaches this one; may be repeated."),
    ] = None,
) -> None:
    """Train a network, with a checkpoint after each epoch, and test it once at the end.

    Example: orbitserve train rotmnist-c4 --resume

    Example: orbitserve train ./my-images --group C4 --size 128

    Example: orbitserve train rotmnist-c8 --device cuda --choose
    """
    from imaging import RefusedError
    from models.checkpoint import Run
    from models.devices import find_device
    from models.experiment import NAMES, named_experiment
    from models.trainer import read_folder
    from models.trainer import train as run

    found = find_device(device)
    if name in NAMES or not Path(name).is_dir():
        if group or size or fit or white_level is not None:
            raise RefusedError(
                "--group, --size, --fit and --white-level are for a folder of images."
            )
        experiment = named_experiment(name, folder)
    else:
        experiment = read_folder(Path(name), group or "D4", size, fit or "pad", white_level)
    changes = {"epochs": epochs, "seed": seed, "validation": validation}
    given = {key: value for key, value in changes.items() if value is not None}
    experiment = experiment.with_recipe(given)
    if teacher:
        experiment = experiment.taught_by(*map(Run.open, teacher))
    result = run(experiment, runs / experiment.name, resume=resume, device=found, choose=choose)
    if result is not None:
        typer.echo(
            f"{runs / experiment.name}: {result.test_error_percent:.2f} % of "
            f"{result.test_count} test images are wrong"
        )
