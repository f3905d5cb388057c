"""The images of an audit in bulk: an engine's workers read them, rotate them and classify them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from audit import Journal, ModelUnderTest, Progress
from audit.questions import Workers
from bulk.auditing import AuditWorkers, LeftOut, Store, fit_source, scratch, without
from bulk.classifying import piece_size
from bulk.engine import Engine
from bulk.sources import Columns, Source, find_source
from commands.audit.target import Found, Target
from commands.bulk import EngineOptions, needs_of
from imaging import RefusedError
from service.settings import Settings

_NAMED: Final = 10
"""Images that are left out and named, each in a sentence; more are counted."""

_PIECES_OF: Final = 32


@dataclass(frozen=True)
class BulkOptions:
    """What was asked for.

    Attributes
    ----------
    scratch
        The folder where fitted images are kept as long as the audit takes.
    skip
        Whether images that cannot be read are left out; else they end the audit.
    """

    engine: EngineOptions
    columns: Columns
    scratch: Path | None
    skip: bool


class InBulk:
    """An engine at work for one audit.

    Parameters
    ----------
    tell
        Told of images that are left out, in a sentence each.
    """

    def __init__(
        self,
        options: BulkOptions,
        engine: Engine,
        workers: int,
        folder: Path,
        target: Target,
        settings: Settings,
        tell: Callable[[str], None],
    ) -> None:
        self._options, self._engine, self._path = options, engine, str(folder / "images")
        self._target, self._settings, self._tell = target, settings, tell
        self._store: Store | None = None
        self.workers = workers

    def find(self, places: Sequence[str]) -> Found:
        """Find images of any kind."""
        columns = self._options.columns
        source = find_source(places, columns)
        if columns != Columns() and not source.tables:
            raise RefusedError(
                "--image-column and --label-column are for Parquet files, and none is named."
            )
        labels: list[Any] | None = None
        labelled = [table for table in source.tables if table.labels is not None]
        if len(labelled) == len(source.parts):
            labels = [label for table in labelled for label in table.labels or ()]
        elif labelled:
            some = (
                f"{labelled[0].url} has a column of labels, and not all images are in such tables"
            )
            if columns.label is not None:
                raise RefusedError(f"{some}; without --label-column none are read.")
            self._tell(f"No labels are read from tables: {some}.")
        return Found([*source.files()], lambda progress: self._read(source, progress), labels)

    def asked(
        self, under_test: ModelUnderTest, audited: AuditSet, journal: Journal | None
    ) -> ModelUnderTest:
        """The model under test whose questions about all images the workers answer.

        A journal keeps the answers.
        """
        if not self._options.engine.on_ray:
            return under_test
        store, opened = self._store, under_test.opened
        if opened is None:  # it was refused before
            return under_test
        if store is None:
            store = Store(self._path, _shape(audited.images))
            Path(self._path).touch()
            store.write(0, audited.images)
        workers: Workers = AuditWorkers(self._engine, opened, store)
        if journal is not None:
            runs = under_test.execution.model_dump_json() if under_test.execution else ""
            who = f"{under_test.identity.sha256} {runs} {audited.sha256()}"
            workers = journal.remember_workers(who, workers)
        return replace(under_test, workers=workers)

    def _read(self, source: Source, progress: Progress) -> tuple[NDArray[np.uint8], Sequence[int]]:
        store = Store(self._path, (len(source), *self._target.spec.shape))
        left_out = fit_source(
            source,
            self._engine,
            store,
            self._target.spec,
            self._settings.max_pixels,
            piece_size(len(source), _PIECES_OF, self.workers),
            progress,
        )
        if left_out:
            self._tell_or_refuse(left_out, len(source))
            store = without(store, [each.number for each in left_out])
        self._store = store
        return store.images(), [each.number for each in left_out]

    def _tell_or_refuse(self, left_out: Sequence[LeftOut], count: int) -> None:
        first, some = left_out[0], f"{len(left_out)} of {count} images cannot be read"
        if len(left_out) == count:
            raise RefusedError(f"None of the {count} images can be read, {first.sentence}")
        if not self._options.skip:
            raise RefusedError(
                f"{some}, {first.sentence.rstrip('.')}; --skip-unreadable audits the others."
            )
        for each in left_out[:_NAMED]:
            self._tell(f"Left out: {each.sentence}")
        self._tell(f"{some}, and the report says how many are audited.")


@contextmanager
def in_bulk(
    options: BulkOptions, target: Target, settings: Settings, tell: Callable[[str], None]
) -> Iterator[InBulk]:
    """Start the engine that is asked for.

    Raises
    ------
    RefusedError
        If its workers could not open the model.
    """
    under_test, runs = target.under_test, target.under_test.execution
    if options.engine.on_ray and (under_test.opened is None or runs is None):
        raise RefusedError(
            "Workers of Ray open the model themselves, and a running service is asked from here; a "
            "name of the repository, or a file that ends in .onnx, is accepted."
        )
    threads, on_gpu = (1, False) if runs is None else (runs.threads, runs.device is not None)
    needs = needs_of(threads, quick=target.quick, on_gpu=on_gpu)
    with scratch(options.scratch) as folder, options.engine.started(needs) as (engine, workers):
        yield InBulk(options, engine, workers, folder, target, settings, tell)


def _shape(images: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    n, c, h, w = images.shape
    return n, c, h, w
