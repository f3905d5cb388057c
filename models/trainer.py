"""Training, as a person sees it: a progress bar, a line an epoch, the test."""

from pathlib import Path

import torch
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

from imaging.fit import FitMode
from imaging.refusal import RefusedError
from models.checkpoint import Result, Run
from models.datasets.folder import count_images
from models.datasets.split import Split
from models.experiment import Experiment, folder_experiment
from models.figures import confusion_matrix, draw_confusion, draw_learning_curve
from models.targets import teach
from models.training import Epoch, predict

AUDIT_IMAGES = 512


def train(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool,
    device: torch.device | None = None,
    choose: bool = False,
) -> Result | None:
    """Train as planned until the training is over, and test the network.

    A run that holds images out without stopping early by them is for choosing, so that it is not
    tested: None is returned. With ``choose`` nothing is held out, and the network is judged on the
    data set's images for choices after each epoch; without it, such a run is tested.

    Raises
    ------
    ValueError
        If ``folder`` holds another run, or there is nothing to choose by.
    """
    recipe, data = experiment.recipe, experiment.data
    choice = _images_for_choices(experiment) if choose else None
    run = Run.begin(folder, experiment.info, resume=resume)
    teachers = [teacher.network().to(device) for teacher in experiment.teachers]
    training = run.training(device, teach(teachers) if teachers else None)
    images = len(data.train) - recipe.validation
    with _progress() as progress:
        bar = progress.add_task("training", total=recipe.epochs * images)
        progress.update(bar, completed=len(training.history) * images)
        for epoch in training.epochs(
            data.train, lambda count: progress.advance(bar, count), choice=choice
        ):
            run.record(training)
            progress.update(bar, completed=epoch.epoch * images)
            progress.console.print(_line(epoch, recipe.epochs), soft_wrap=True)
        progress.update(bar, completed=recipe.epochs * images)
        run.keep(training.result)
        if choose or (recipe.validation and recipe.patience is None):
            return None
        progress.console.print(f"the weights of epoch {training.kept_epoch} are kept")
        bar = progress.add_task("testing", total=len(data.test))
        labels = predict(
            training.result, data.test.images, progress=lambda count: progress.advance(bar, count)
        )
    matrix = confusion_matrix(data.test.labels, labels, len(data.classes))
    wrong = len(data.test) - int(matrix.trace())
    result = Result(test_error_percent=100 * wrong / len(data.test), test_count=len(data.test))
    run.finish(result, data.test[:AUDIT_IMAGES])
    draw_confusion(matrix, data.classes, [folder / "confusion.svg", folder / "confusion.png"])
    draw_learning_curve(
        training.history,
        training.kept_epoch,
        result.test_error_percent,
        [folder / "learning-curve.svg"],
    )
    return result


def read_folder(
    images: Path, group: str, size: int | None, mode: FitMode, white_level: int | None = None
) -> Experiment:
    """Return ``folder_experiment``, with a progress bar.

    Raises
    ------
    ValueError
        As ``folder_experiment`` does.
    """
    total = 2 * count_images(images)
    with _progress() as progress:
        bar = progress.add_task("reading", total=total)
        return folder_experiment(
            images, group, size, mode, white_level, lambda count: progress.advance(bar, count)
        )


def _images_for_choices(experiment: Experiment) -> Split:
    if experiment.data.choice is None:
        raise RefusedError(
            f"{experiment.data.name} has no images for choices beside those to train; --validation "
            "holds some of them out."
        )
    if experiment.recipe.validation:
        raise RefusedError("Choices are made by --choose or by --validation, not by both.")
    return experiment.data.choice


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
    )


def _line(epoch: Epoch, epochs: int) -> str:
    held_out = epoch.validation_error
    return (
        f"epoch {epoch.epoch:3}/{epochs}  loss {epoch.loss:.4f}  "
        f"error on training images {epoch.train_error:.2f} %"
        + (f", on held-out images {held_out:.2f} %" if held_out is not None else "")
        + f"  {epoch.seconds:.0f} s"
    )
