"""What `orbitserve classify` does: files are decoded beside the inference of those before."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np

from artifact.contract import Images
from artifact.cpus import cpu_budget
from bulk.classifying import Answered, Classify, classify_pieces, piece_size
from bulk.sources import Columns, Source, find_source, is_bulk
from commands.bulk import EngineOptions, needs_of
from commands.classify import parquet
from commands.classify.answer import Answer, Model, Ranked, Shape, ranked
from commands.classify.formats import LINES, Format, format_of
from commands.classify.partial import Partial
from commands.display import Style, chosen_progress, telling
from commands.names import written
from commands.reading import settings_of_a_command
from commands.writing import check_apart, check_writable
from imaging import RefusedError
from service.decoding.files import find_images, read_ahead
from service.engine import NOT_FINITE, Inference, opening
from service.protocol.answers import classification
from service.repository.local import open_model
from service.repository.version import ServedModel
from service.settings import Settings

_BATCH: Final = 32
"""Most images that are answered at once; what is interrupted loses one batch at most."""

_AHEAD: Final = 2 * _BATCH
"""Most images that are decoded and wait."""


_Classes = tuple[Ranked, ...]


class _Said(NamedTuple):
    """The first classes of an image, and which ones it gets of several labels."""

    top: _Classes
    labels: _Classes | None


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

    def of_piece(self, piece: Answered) -> list[Answer]:
        """Return the answers to the images of a piece, which a worker has classified."""
        found = iter(self._said(piece.inference) if piece.inference else ())
        return [
            Answer(written(name), error=piece.errors[place], model=self.model)
            if place in piece.errors
            else self._answer(written(name), next(found))
            for place, name in enumerate(piece.names)
        ]

    def _answered(self, some: list[tuple[str, Images | str]]) -> list[Answer]:
        read = [image for _, image in some if not isinstance(image, str)]
        found = iter(self._top(np.concatenate(read)) if read else ())
        return [
            Answer(name, error=image, model=self.model)
            if isinstance(image, str)
            else self._answer(name, next(found))
            for name, image in some
        ]

    def _answer(self, name: str, said: _Said | None) -> Answer:
        if said is None:
            return Answer(name, error=NOT_FINITE, model=self.model)
        return ranked(name, said.top, self.model, said.labels)

    def _top(self, images: Images) -> Iterator[_Said | None]:
        return self._said(self._opened.session.run(images))

    def _said(self, inference: Inference) -> Iterator[_Said | None]:
        """Yield what is said of each image, None where the numbers of the model say nothing."""
        said = classification(
            self._opened.identity,
            self.classes,
            inference,
            self.shape.ranks,
            multi_label=self.shape.multi_label,
        )
        for one, finite in zip(said["predictions"], inference.finite(), strict=True):
            given: Mapping[str, Any] = {**one}
            labels = given.get("labels")
            yield (
                _Said(_classes(one["top"]), None if labels is None else _classes(labels))
                if finite
                else None
            )


def _classes(some: Iterable[Mapping[str, Any]]) -> _Classes:
    return tuple(Ranked(**each) for each in some)


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes
    ----------
    names
        What answers call the images.
    answers
        Yields the answers to the images, batch by batch, without some that are told by their
        numbers.
    """

    names: Sequence[str]
    answers: Callable[[frozenset[int]], Iterator[list[Answer]]]


def run(
    images: Sequence[str],
    model: str | None,
    repository: Path | None,
    device: str | None,
    *,
    top_k: int,
    asked_format: Format | None,
    output: Path | None,
    resume: bool,
    progress: Style,
    engine: EngineOptions,
    image_column: str | None,
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
        check_apart([output], images)
    settings = settings_of_a_command(repository, device)
    in_bulk = engine.on_ray or any(map(is_bulk, images))
    if image_column is not None and not in_bulk:
        raise RefusedError("--image-column is for Parquet files, and none is named.")
    found = (
        find_source(images, Columns(image_column)) if in_bulk else find_images([*map(Path, images)])
    )
    if output is not None and isinstance(found, Source):
        check_apart([output], [table.url for table in found.tables])
    opened = open_model(model, settings)
    # An interpreter that ends while a thread is inside of onnxruntime ends by SIGABRT.
    with closing(opened.session), ExitStack() as stack:
        classifier = Classifier(opened, settings, top_k)
        out = None if sys.stdout is None else sys.stdout.buffer
        if isinstance(found, Source):
            work = stack.enter_context(_in_bulk(classifier, opened, settings, found, engine))
        else:
            work = _of_files(classifier, found)
        if output is None:
            _print(classifier, work, asked_format, progress, out)
            return
        said = classifier.model, classifier.classes, classifier.shape
        with Partial(output, asked_format, *said, resume=resume) as kept:
            _keep(work, kept, progress)


def _of_files(classifier: Classifier, paths: Sequence[Path]) -> Work:
    def answers(skip: frozenset[int]) -> Iterator[list[Answer]]:
        return classifier.answers([path for i, path in enumerate(paths) if i not in skip])

    return Work([written(str(path)) for path in paths], answers)


@contextmanager
def _in_bulk(
    classifier: Classifier,
    opened: ServedModel,
    settings: Settings,
    source: Source,
    options: EngineOptions,
) -> Iterator[Work]:
    session, batch = opened.session, min(_BATCH, settings.max_batch_size)
    on_gpu = session.graph.configuration.memory is not None
    needs = needs_of(session.threads, quick=session.graph.quick, on_gpu=on_gpu)
    open_session = opening(session, opened.read_graph()).open if options.on_ray else lambda: session
    make = partial(Classify, open_session, opened.card.input, settings.max_pixels, batch)
    with options.started(needs) as (engine, workers):

        def answers(skip: frozenset[int]) -> Iterator[list[Answer]]:
            size = piece_size(len(source) - len(skip), batch, workers)
            pieces = list(source.pieces(size, skip))
            return map(classifier.of_piece, classify_pieces(pieces, engine, make))

        yield Work([*map(written, source.names())], answers)


def _print(
    classifier: Classifier,
    work: Work,
    asked_format: Format,
    progress: Style,
    out: BinaryIO | None,
) -> None:
    if out is None:
        raise RefusedError("There is no standard output; --output names a file.")
    lines, refused, count = LINES[asked_format], 0, len(work.names)
    # Lines on a terminal are what a bar would be: the two would be drawn over each other.
    style = "none" if progress == "auto" and out.isatty() else progress
    out.write(lines.head(classifier.shape))
    done = 0
    try:
        with chosen_progress(style) as show:
            for answers in work.answers(frozenset()):
                out.write(b"".join(lines.line(each, classifier.shape) for each in answers))
                out.flush()
                done += len(answers)
                refused += sum(each.error is not None for each in answers)
                show("images", done, count)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {count} files were classified; with --output, --resume goes on after "
            "an end like this."
        ) from None
    _tell_refused(refused, done)


def _keep(work: Work, kept: Partial, progress: Style) -> None:
    before, count = sum(kept.done.values()), len(work.names)
    skip = frozenset(_done(work.names, kept.done))
    left, done = count - len(skip), 0
    try:
        with chosen_progress(progress) as show:
            for answers in work.answers(skip) if left else ():
                kept.write(answers)
                done += len(answers)
                show("images", done, left)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(skip) + done} of {count} files are classified, and kept in "
            f"{kept.path}; the same command with --resume goes on."
        ) from None
    kept.finish()
    telling(progress)(f"{kept.output}: {before} lines kept, {done} added")
    _tell_refused(kept.refused, before + done)


def _done(names: Iterable[str], done: Counter[str]) -> Iterator[int]:
    """Yield the numbers of images that are among those that are done, each as often as it is."""
    left = done.copy()
    for number, name in enumerate(names):
        if left[name]:
            left[name] -= 1
            yield number


def _tell_refused(refused: int, count: int) -> None:
    if refused:
        were = "was" if refused == 1 else "were"
        raise RefusedError(
            f"{refused} of {count} files {were} not classified; their lines say why."
        )
