"""What `orbitserve classify` does: files are decoded beside the inference of those before."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer

from artifact.contract import Images
from artifact.cpus import cpu_budget
from commands.classify import parquet
from commands.classify.answer import Answer, Model, Ranked, Shape, ranked
from commands.classify.formats import LINES, Format, format_of
from commands.classify.partial import Partial
from commands.display import Style, chosen_progress
from commands.names import written
from commands.reading import settings_of_a_command
from commands.writing import check_writable
from imaging import RefusedError
from service.decoding.files import find_images, read_ahead
from service.protocol.answers import classification
from service.repository.local import open_model
from service.repository.version import ServedModel
from service.settings import Settings

_BATCH: Final = 32
"""Most images that are answered at once; what is interrupted loses one batch at most."""

_AHEAD: Final = 2 * _BATCH
"""Most images that are decoded and wait."""


_Classes = tuple[Ranked, ...]


class Classifier:
    """A model and how its answers are written down."""

    def __init__(self, opened: ServedModel, settings: Settings, top_k: int) -> None:
        self._opened, self._settings = opened, settings
        card = opened.card
        self.classes = tuple(card.classes)
        self.shape = Shape(min(top_k, len(self.classes)), card.multi_label)
        self.model = Model(**opened.identity)

    def answers(self, paths: Sequence[Path]) -> Iterator[list[Answer]]:
        """Yield the answers to files, in their order, batch by batch.

        Batches are the same in every run, so that the last digits of their probabilities are.
        """
        settings = self._settings
        images = read_ahead(
            paths,
            self._opened.card.input,
            settings.max_pixels,
            threads=settings.threads or cpu_budget(),
            ahead=_AHEAD,
        )
        names = (written(str(path)) for path in paths)
        with closing(images):
            pairs = zip(names, images, strict=True)
            while some := list(islice(pairs, min(_BATCH, settings.max_batch_size))):
                yield self._answered(some)

    def _answered(self, some: list[tuple[str, Images | str]]) -> list[Answer]:
        read = [image for _, image in some if not isinstance(image, str)]
        found = iter(self._top(np.concatenate(read)) if read else ())
        return [
            Answer(name, error=image, model=self.model)
            if isinstance(image, str)
            else ranked(name, *next(found))
            for name, image in some
        ]

    def _top(self, images: Images) -> Iterator[tuple[_Classes, Model, _Classes | None]]:
        """Yield the first classes of each image, and which ones it gets of several labels."""
        said = classification(
            self._opened.identity,
            self.classes,
            self._opened.session.run(images),
            self.shape.ranks,
            multi_label=self.shape.multi_label,
        )
        for one in said["predictions"]:
            given: Mapping[str, Any] = {**one}
            labels = given.get("labels")
            yield _classes(one["top"]), self.model, None if labels is None else _classes(labels)


def _classes(some: Iterable[Mapping[str, Any]]) -> _Classes:
    return tuple(Ranked(**each) for each in some)


def run(
    images: Sequence[Path],
    model: str | None,
    repository: Path | None,
    device: str | None,
    *,
    top_k: int,
    asked_format: Format | None,
    output: Path | None,
    resume: bool,
    progress: Style,
) -> None:
    """Classify files, and write a line for each as soon as its batch is answered.

    Raises
    ------
    RefusedError
        If it cannot begin or go on; or at the end, if some files could not be read.
    """
    asked_format = format_of(asked_format, output)
    if resume and output is None:
        raise RefusedError("--resume goes on with a file; --output names it.")
    if asked_format == "parquet":
        parquet.check_installed()
    if output is not None:
        check_writable(output)
    settings = settings_of_a_command(repository, device)
    paths = find_images(images)
    opened = open_model(model, settings)
    # An interpreter that ends while a thread is inside of onnxruntime ends by SIGABRT.
    with closing(opened.session):
        classifier = Classifier(opened, settings, top_k)
        if output is None:
            _print(classifier, paths, asked_format, progress)
            return
        said = classifier.model, classifier.classes, classifier.shape
        with Partial(output, asked_format, *said, resume=resume) as partial:
            _keep(classifier, paths, partial, progress)


def _print(
    classifier: Classifier, paths: Sequence[Path], asked_format: Format, progress: Style
) -> None:
    if sys.stdout is None:
        raise RefusedError("There is no standard output; --output names a file.")
    lines, refused, out = LINES[asked_format], 0, sys.stdout.buffer
    out.write(lines.head(classifier.shape))
    # Lines on a terminal are what a bar would be: the two would be drawn over each other.
    style = "none" if progress == "auto" and sys.stdout.isatty() else progress
    done = 0
    try:
        with chosen_progress(style) as show:
            for answers in classifier.answers(paths):
                out.write(b"".join(lines.line(each, classifier.shape) for each in answers))
                out.flush()
                done += len(answers)
                refused += sum(each.error is not None for each in answers)
                show("images", done, len(paths))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {len(paths)} files were classified; with --output, --resume goes on after "
            "an end like this."
        ) from None
    _tell_refused(refused, done)


def _keep(classifier: Classifier, paths: Sequence[Path], partial: Partial, progress: Style) -> None:
    before = sum(partial.done.values())
    left = list(_without(paths, partial.done))
    done = 0
    try:
        with chosen_progress(progress) as show:
            for answers in classifier.answers(left):
                partial.write(answers)
                done += len(answers)
                show("images", done, len(left))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(paths) - len(left) + done} of {len(paths)} files are classified, and kept in "
            f"{partial.path}; the same command with --resume goes on."
        ) from None
    partial.finish()
    if progress != "none":
        typer.echo(f"{partial.output}: {before} lines kept, {done} added", err=True)
    _tell_refused(partial.refused, before + done)


def _without(paths: Iterable[Path], done: Counter[str]) -> Iterator[Path]:
    """Yield the files that are not among those that are done, each as often as it is not."""
    left = done.copy()
    for path in paths:
        if left[name := written(str(path))]:
            left[name] -= 1
        else:
            yield path


def _tell_refused(refused: int, count: int) -> None:
    if refused:
        were = "was" if refused == 1 else "were"
        raise RefusedError(
            f"{refused} of {count} files {were} not classified; their lines say why."
        )
