"""One sitting of training, as a person sees it: a progress bar, a line an epoch, the test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

from models.checkpoint import Result, Run, RunInfo
from models.datasets import rotmnist
from models.presets import Preset
from models.training import Epoch, Recipe, error_percent


def train_preset(
    preset: Preset, changes: Mapping[str, Any], data: Path, folder: Path, *, resume: bool
) -> Result | None:
    """Train ``preset`` with ``changes`` to its recipe until its last epoch, and test it.

    A run that holds images out is for choosing, so that it is not tested: None is returned.

    Raises
    ------
    ValueError
        If the data is not there, or ``folder`` holds another run.
    """
    data_set = rotmnist.read(data)
    recipe = Recipe.model_validate(preset.recipe.model_dump() | dict(changes))
    info = RunInfo(
        network=preset.network,
        recipe=recipe,
        data_set=data_set.name,
        data_sha256=data_set.sha256,
        data_licence=data_set.licence,
        classes=data_set.classes,
    )
    run = Run.begin(folder, info, resume=resume)
    training = run.training()
    images = len(data_set.train) - recipe.validation
    with _progress() as progress:
        bar = progress.add_task("training", total=recipe.epochs * images)
        progress.update(bar, completed=len(training.history) * images)
        for epoch in training.epochs(data_set.train, lambda count: progress.advance(bar, count)):
            run.record(training)
            progress.update(bar, completed=epoch.epoch * images)
            progress.console.print(_line(epoch, recipe.epochs))
        if recipe.validation:
            return None
        test = data_set.test
        bar = progress.add_task("testing", total=len(test))
        error = error_percent(
            training.result, test, progress=lambda count: progress.advance(bar, count)
        )
    result = Result(test_error_percent=error, test_count=len(test))
    run.finish(training.result, result)
    return result


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
