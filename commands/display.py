"""What a person sees of whatever takes long: a bar, or plain lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from commands.names import on_one_line

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

Style = Literal["auto", "plain", "none"]


class _Rate(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


def telling(style: Style) -> Callable[[str], None]:
    """Return what tells a sentence on standard error, unless nothing is to be shown."""

    def tell(sentence: str) -> None:
        if style != "none":
            typer.echo(on_one_line(sentence), err=True)

    return tell


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show a bar on a terminal for each stage, in the order in which they begin; else nothing."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int) -> None:
        bars.start()  # not before: a refusal is one sentence, with nothing drawn above it
        if stage not in tasks or bars.tasks[tasks[stage]].finished:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done)

    try:
        yield show
    finally:
        if tasks:
            bars.stop()


@contextmanager
def chosen_progress(style: Style) -> Iterator[Progress]:
    """Show bars on a terminal and nothing elsewhere; or a line for each tenth; or nothing."""
    if style == "auto":
        with shown_progress() as show:
            yield show
    else:
        yield _tenths() if style == "plain" else lambda stage, done, total: None


def _tenths() -> Progress:
    reached: dict[str, int] = {}

    def show(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenth != reached.get(stage, -1):
            reached[stage] = tenth
            print(f"{stage}: {done} of {total}", file=sys.stderr, flush=True)

    return show
