"""The audit of a model as it is loaded: its file, its session, its bundled images."""

import threading
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from artifact.audit_set import AuditSet
from audit import (
    Classifier,
    ModelUnderTest,
    Progress,
    Report,
    ResolvedOptions,
    run_pipeline,
)
from audit.about import About
from audit.cost import classifications
from imaging import GridSymmetry, grid_symmetries
from service.audits.targets.version import version_under_test
from service.repository.version import ServedModel

UPLOADED = "uploaded with the request"


def audit_model(
    model: ServedModel,
    options: ResolvedOptions,
    *,
    images: npt.NDArray[np.uint8] | None = None,
    labels: npt.NDArray[np.int64] | None = None,
    files: tuple[str, ...] = (),
    source: str = UPLOADED,
    about: About | None = None,
    replay: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Audit a version as it runs: see `run_pipeline` and `version_under_test`.

    Parameters
    ----------
    options
        What is asked.
    images : uint8 [N, C, size, size], or None
        Images of the model's input size; the bundled audit set if None.
    labels : int64 [N], or None
        What the images show.
    files
        What they are called, where they came from files.
    source
        Where the images come from, for the report; that of the bundled set is on its card.
    about
        What somebody says of the audit; only reported.
    replay
        The command that makes the same report again; only reported.
    progress
        Called after each batch of any kind with the images classified so far and, see `cost`,
        in all. What it raises ends the audit.

    Raises
    ------
    ValueError
        If the images, the labels or the group cannot be audited, or no mutant can be made.
    ModelRejectedError
        If a file of the version is no longer the one that was loaded.
    """
    if images is None:
        audited, source = model.audit_set(), model.card.audit_set.source
    else:
        audited = AuditSet(images, labels, files=files)
    meter = _Meter(progress, cost(model, len(audited.images), options))
    under_test = meter.watching(version_under_test(model))
    report = run_pipeline(under_test, audited, options, source=source, about=about, replay=replay)
    meter.end()
    return report


class _Meter:
    """Counts what is classified by all parts of an audit together."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total
        self._lock = threading.Lock()

    def watching(self, under_test: ModelUnderTest) -> ModelUnderTest:
        """Count what a model is asked, and the models that are built for its self-test."""
        build = under_test.build
        return replace(
            under_test,
            classify=self._counted(under_test.classify),
            build=None if build is None else lambda graph: self._counted(build(graph)),
        )

    def end(self) -> None:
        """Take what was not classified, because it was known, as done."""
        self._done = self._total
        self._tell()

    def _counted(self, classify: Classifier) -> Classifier:
        def ask(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            logits = classify(images)
            with self._lock:
                self._done += len(images)
                self._tell()
            return logits

        return ask

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)


def cost(model: ServedModel, count: int, options: ResolvedOptions) -> int:
    """How many images an audit of a version over so many images classifies: `audit.cost`."""
    return classifications(
        options,
        count,
        sides=model.card.input.fit.shape,
        multi_label=model.card.multi_label,
        quarters_exact=_quarters_exact(model),
    )


def _quarters_exact(model: ServedModel) -> bool:
    """Whether quarter turns are proved, and measured here, to change no bit."""
    proof, exactness = model.verification.proof, model.verification.exactness
    if proof is None or exactness is None or proof.outcome != "PROVED" or not proof.exact_bits:
        return False
    return exactness.exact and GridSymmetry(False, 1) in grid_symmetries(proof.subgroup)
