"""What a person sees of an export: a bar for whatever takes long."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from export.publish import Progress


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show a bar on standard error for each stage, in the order in which they begin."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
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
