"""`orbitserve train`: a network, on a data set of the project or a folder of images."""

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commands.options import DataFolder, WhiteLevel

if TYPE_CHECKING:
    from models.checkpoint import Run
    from models.run_info import Result


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
    called: Annotated[
        str | None,
        typer.Option("--name", help="Of the run and the model; else made of the folder's name."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            help="Go on where a run of the same kind stopped, or ended with fewer epochs."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where there is a run of this name.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    validation: Annotated[
        int | None, typer.Option(min=0, help="Training images held out, instead of the recipe's.")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1, help="The schedule's largest, instead of the recipe's."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images a step, instead of the recipe's.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Folder or name of a run whose weights are the first ones."),
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
    grey: Annotated[bool, typer.Option("--grey", help="For a folder: leave colours out.")] = False,
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="For a folder: leave out files that are no images."),
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="For a folder: what of a file's name says which part it shows, whose images then "
            "stay on one side of the split: a separator that ends it, as _, a regular expression, "
            "or 'folder'."
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="For a folder: another of its classes to test on; else a fifth of it."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(
            envvar="ORBITSERVE_DEVICE",
            help="Where to train; auto takes an NVIDIA GPU if PyTorch sees one.",
        ),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="For a folder: processes that decode; else one a CPU."),
    ] = None,
    arithmetic: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"] | None,
        typer.Option(
            help="Of the training steps, instead of the recipe's: auto is bfloat16 on a GPU that "
            "has it, else float32."
        ),
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="The same weights in every run on one GPU; slower."),
    ] = False,
    choose: Annotated[
        bool,
        typer.Option(help="Judge each epoch on the data set's validation images; do not test."),
    ] = False,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="What teaches this network: the folder of a run, a file (.onnx), or NAME or "
            "NAME/VERSION of the repository; may be repeated."
        ),
    ] = None,
) -> None:
    """Train a network, with a checkpoint after each epoch, and test it once at the end.

    Example: orbitserve train rotmnist-c4 --resume

    Example: orbitserve train ./my-images --group C4 --size 128

    Example: orbitserve train ./my-images --group-by _ --name parts

    Example: orbitserve train rotmnist-c8 --device cuda --choose
    """
    from artifact.cpus import cpu_budget
    from artifact.layout import check_name
    from commands.names import on_one_line
    from imaging import RefusedError
    from models.checkpoint import Run
    from models.datasets.folder_source import FolderSource
    from models.devices import be_deterministic, find_device
    from models.experiment import NAMES, check_network, model_name, named_experiment
    from models.trainer import read_folder
    from models.trainer import train as run

    found = find_device(device)
    if resume and overwrite:
        raise RefusedError("A run goes on by --resume or begins anew by --overwrite, not both.")
    is_folder = name not in NAMES and Path(name).is_dir()
    if not is_folder:
        check_network(name)
        _refuse(
            {
                "--group": group,
                "--size": size,
                "--fit": fit,
                "--white-level": white_level,
                "--grey": grey,
                "--skip-unreadable": skip_unreadable,
                "--group-by": group_by,
                "--test": test,
                "--workers": workers,
            }
        )
    title = called or (model_name(Path(name)) if is_folder else name)
    check_name(title)
    place = runs / title
    Run.check_free(place, resume=resume, overwrite=overwrite)
    before = Run.open(place).info.recipe if resume and Run.is_in(place) else None
    deterministic = deterministic or bool(before and before.deterministic)
    if deterministic:
        be_deterministic()
    first = None
    if start:
        named = runs / start  # beside which there may be a folder of its images
        first = Run.open(named if Run.is_in(named) and not Run.is_in(start) else start)
    learned_from = [*([first.folder] if first else []), *map(Path, teacher or [])]
    if overwrite and any(each.resolve() == place.resolve() for each in learned_from):
        raise RefusedError(
            f"{place} cannot be begun anew and be learned from too, as --overwrite removes its "
            "weights; --name gives this run another folder."
        )
    if is_folder:
        source = FolderSource(
            folder=Path(name),
            test=test,
            size=size,
            fit=fit or (first.info.fit if first else "pad"),
            channels=1 if grey else None,
            white_level=white_level,
            skip_unreadable=skip_unreadable,
            group_by=group_by,
        )
        experiment = read_folder(
            source, group, name=title, start=first, processes=workers or cpu_budget()
        )
    else:
        experiment = dataclasses.replace(named_experiment(name, folder), name=title)
        experiment = experiment.started_from(first) if first else experiment
    if before and epochs is None:
        epochs = before.epochs
    changes = {
        "epochs": epochs,
        "seed": seed,
        "validation": validation,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "arithmetic": arithmetic,
        "deterministic": deterministic or None,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    experiment = experiment.with_recipe(given)
    with ExitStack() as until:
        if teacher:
            from commands.teachers import open_teacher

            experiment = experiment.taught_by(*(open_teacher(each, until) for each in teacher))
        try:
            result = run(
                experiment,
                place,
                resume=resume,
                overwrite=overwrite,
                device=found,
                choose=choose,
                shown=on_one_line,
            )
        except KeyboardInterrupt:
            typer.echo(f"orbitserve: Stopped; this goes on: {_resuming()}", err=True)
            raise
    if result is not None:
        _tell(Run.open(place), result, title, None if runs == Path("runs") else runs)


def _refuse(options: Mapping[str, object]) -> None:
    from imaging import RefusedError

    given = [option for option, value in options.items() if value not in (None, False)]
    if given:
        verb = "is" if len(given) == 1 else "are"
        raise RefusedError(f"{' and '.join(given)} {verb} for a folder of images.")


def _tell(run: "Run", result: "Result", name: str, runs: Path | None) -> None:
    """Say how it went, where its pictures are, and what comes next."""
    from models.checkpoint import PICTURES

    typer.echo(
        f"{run.folder}: {result.test_error_percent:.2f} % of {result.test_count} test images are "
        "wrong"
    )
    drawn = [str(run.folder / name) for name in PICTURES if (run.folder / name).exists()]
    typer.echo(f"pictures: {', '.join(drawn)}")
    where = ["--runs", str(runs)] if runs else []
    export = ["orbitserve", "export", name, "--precision", "fp32,int8", *where]
    typer.echo(f"next: {shlex.join(export)}")
    typer.echo(f"      orbitserve serve --default-model {name}-int8")


def _resuming() -> str:
    """Return the command that goes on with this one."""
    said = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return shlex.join(["orbitserve", *said, "--resume"])
