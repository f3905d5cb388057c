"""Training, as a person sees it: a progress bar, a line an epoch, the test."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from imaging import FitPolicy
from imaging.refusal import RefusedError
from models.autoconfig import SMALLEST
from models.checkpoint import Run, write_run_file
from models.datasets.data_set import DataSet
from models.datasets.folder_source import FolderSource
from models.datasets.own_images import OwnImages, count_files
from models.datasets.split import Split
from models.estimate import seconds_an_epoch
from models.experiment import Experiment, folder_experiment
from models.figures import confusion_matrix, draw_confusion, draw_learning_curve, draw_mistakes
from models.mistakes import Mistake, confusion_table, find_mistakes, listed, mistakes_table
from models.overview import duration, overview
from models.run_info import Result
from models.targets import mean_of
from models.training import Epoch, Training, check_teacher, predict

AUDIT_IMAGES = 512


def train(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: torch.device | None = None,
    choose: bool = False,
    shown: Callable[[str], str] = str,
) -> Result | None:
    """Train as planned until the training is over, and test the network.

    A run that holds images out without stopping early by them is for choosing, so that it is not
    tested: None is returned. With ``choose`` nothing is held out, and the network is judged on the
    data set's validation images after each epoch; without it, such a run is tested.

    Parameters
    ----------
    shown
        Writes a line with names of classes and files so that none of them acts on a terminal.

    Raises
    ------
    ValueError
        If ``folder`` holds another run, somebody else trains in it, there is nothing to choose by,
        or nobody teaches what the recipe has taught.
    """
    validation = _validation_images(experiment) if choose else None
    check_teacher(experiment.recipe, taught=bool(experiment.teachers))
    Run.check_free(folder, resume=resume, overwrite=overwrite)
    with Run.held(folder):
        run = Run.begin(folder, experiment.info, resume=resume, overwrite=overwrite)
        return _train(experiment, run, device, validation, shown)


def _train(
    experiment: Experiment,
    run: Run,
    device: torch.device | None,
    validation: Split | None,
    shown: Callable[[str], str],
) -> Result | None:
    data, recipe = experiment.data, run.info.recipe
    teacher = mean_of([each.open(device) for each in experiment.teachers])
    training = run.training(device, teacher)
    if experiment.start and not training.history:
        same = experiment.start.info.classes == data.classes
        training.start_from(experiment.start.network(run.info.start_sha256), keep_head=same)
    images = len(data.train) - recipe.validation
    with _progress() as progress:
        for line in overview(experiment, run.info):
            _print(progress, shown(line))
        if not training.is_over:
            seconds = seconds_an_epoch(
                experiment.network, recipe, data.train, validation, device=device, teacher=teacher
            )
            left = recipe.epochs - len(training.history)
            _print(progress, duration(seconds, left, device.type if device else "cpu"))
        bar = progress.add_task("training", total=recipe.epochs * images)
        progress.update(bar, completed=len(training.history) * images)
        for epoch in training.epochs(
            data.train, lambda count: progress.advance(bar, count), validation=validation
        ):
            run.record(training)
            progress.update(bar, completed=epoch.epoch * images)
            _print(progress, _line(epoch, recipe.epochs))
        progress.update(bar, completed=recipe.epochs * images)
        run.keep(training.result)
        if validation is not None or recipe.is_for_choosing:
            return None
        _print(progress, f"the weights of epoch {training.kept_epoch} are kept")
        bar = progress.add_task("testing", total=len(data.test))
        labels = predict(
            training.result, data.test.images, progress=lambda count: progress.advance(bar, count)
        )
        mistakes = find_mistakes(training.result, data, labels)
        for line in listed(mistakes, data.classes):
            _print(progress, shown(line))
    error = 100 * len(mistakes) / len(data.test)
    result = Result(test_error_percent=error, test_count=len(data.test))
    run.finish(result, data.test[:AUDIT_IMAGES])
    _draw(run, training, experiment, labels, mistakes)
    return result


def _draw(
    run: Run,
    training: Training,
    experiment: Experiment,
    labels: NDArray[np.int64],
    mistakes: Sequence[Mistake],
) -> None:
    """Write the pictures and tables of a tested run."""
    data, folder = experiment.data, run.folder
    matrix = confusion_matrix(data.test.labels, labels, len(data.classes))
    draw_confusion(matrix, data.classes, [folder / "confusion.svg", folder / "confusion.png"])
    write_run_file(folder / "confusion.csv", confusion_table(matrix, data.classes))
    draw_learning_curve(
        training.history,
        training.kept_epoch,
        run.result().test_error_percent,
        [folder / "learning-curve.svg"],
    )
    write_run_file(folder / "wrong.csv", mistakes_table(mistakes, data.classes))
    if mistakes:
        draw_mistakes(mistakes, data.classes, [folder / "wrong.png"])
    else:
        (folder / "wrong.png").unlink(missing_ok=True)


def read_folder(
    source: FolderSource,
    group: str | None = None,
    *,
    name: str | None = None,
    start: Run | None = None,
    processes: int = 1,
) -> Experiment:
    """Return ``folder_experiment``, with a progress bar.

    Raises
    ------
    ValueError
        As ``folder_experiment`` does.
    """
    total = 2 * count_files(source)
    with _progress() as progress:
        bar = progress.add_task("reading", total=total)
        return folder_experiment(
            source,
            group,
            name=name,
            start=start,
            progress=lambda count: progress.advance(bar, count),
            processes=processes,
        )


def read_again(source: FolderSource) -> DataSet:
    """Return the images that a run was trained and tested on, with a progress bar.

    Raises
    ------
    ValueError
        If they cannot be read.
    """
    policy = FitPolicy(source.size or SMALLEST, source.fit)
    with _progress() as progress:
        bar = progress.add_task("reading", total=2 * count_files(source))

        def advance(count: int) -> None:
            progress.advance(bar, count)

        return OwnImages.survey(source, advance).read(policy, advance)


def _validation_images(experiment: Experiment) -> Split:
    if experiment.data.validation is None:
        raise RefusedError(
            f"{experiment.data.name} has no validation images beside those to train; --validation "
            "holds some of them out."
        )
    if experiment.recipe.validation:
        raise RefusedError("Choices are made by --choose or by --validation, not by both.")
    return experiment.data.validation


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f} images/s")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),  # a bar is for a terminal; lines are printed all the same
    )


def _print(progress: Progress, line: str) -> None:
    """Print a line as it is, above the bar: names may look like markup."""
    progress.console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)


def _line(epoch: Epoch, epochs: int) -> str:
    held_out = epoch.validation_error
    return (
        f"epoch {epoch.epoch:3}/{epochs}  loss {epoch.loss:.4f}  "
        f"error on training images {epoch.train_error:.2f} %"
        + (f", on held-out images {held_out:.2f} %" if held_out is not None else "")
        + f"  {epoch.seconds:.0f} s"
        + (f", {epoch.images_per_second:,.0f} images/s" if epoch.images_per_second else "")
    )
