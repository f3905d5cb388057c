"""The audit of a model as it is loaded: its file, its session, its bundled images."""

import threading
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audit import AuditSet, Classifier, Progress, Question, Report, Subject, audit_tiers
from audit.angles.selftest import angle_self_test_questions
from audit.elements import audited_elements
from audit.orbit import orbit_questions
from audit.selftest import self_test_questions
from imaging import GridSymmetry, grid_symmetries, nearest_arcs
from service.subjects.version import version_subject
from service.version import ServedModel

UPLOADED = "uploaded with the request"


def audit_model(
    model: ServedModel,
    question: Question,
    *,
    images: npt.NDArray[np.uint8] | None = None,
    labels: npt.NDArray[np.int64] | None = None,
    source: str = UPLOADED,
    replay: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Audit a version as it runs: see `audit_tiers` and `version_subject`.

    Parameters
    ----------
    question
        What is asked.
    images : uint8 [N, C, size, size], or None
        Images of the model's input size; the bundled audit set if None.
    labels : int64 [N], or None
        What the images show.
    source
        Where the images come from, for the report; that of the bundled set is on its card.
    replay
        The command that makes the same report again; only reported.
    progress
        Called after each batch of any kind with the images classified so far and, see `questions`,
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
        audited = AuditSet(images, labels)
    meter = _Meter(progress, questions(model, len(audited.images), question))
    subject = meter.watching(version_subject(model))
    report = audit_tiers(subject, audited, question, source=source, replay=replay)
    meter.end()
    return report


def questions(model: ServedModel, count: int, question: Question) -> int:
    """How many images an audit over so many images classifies, self-tests included.

    Every angle of an image is counted, though neighbours that are equal are classified once: where
    there is a circle, it is at most so many.

    Raises
    ------
    ValueError
        If the group cannot be tried, or the images are too large to be tried at every angle.
    """
    elements = len(audited_elements(question.group))
    total = orbit_questions(count, elements) + self_test_questions(count, elements)
    if question.angles is not None:
        total += question.angles.questions(count, damped=True) + angle_self_test_questions(count)
    if question.circle_images:
        tried = len(range(0, count, -(-count // min(question.circle_images, count))))
        quarters = 1 if _quarters_exact(model) else 4
        total += tried * quarters * nearest_arcs(model.card.input.fit.size).count
    return total


class _Meter:
    """Counts what is classified by all parts of an audit together."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total
        self._lock = threading.Lock()

    def watching(self, subject: Subject) -> Subject:
        """Count what a subject is asked, and the models that are built for its self-test."""
        build = subject.build
        return replace(
            subject,
            classify=self._counted(subject.classify),
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


def _quarters_exact(model: ServedModel) -> bool:
    """Whether quarter turns are proved, and measured here, to change no bit."""
    proof, exactness = model.verification.proof, model.verification.exactness
    if proof is None or exactness is None or proof.outcome != "PROVED" or not proof.exact_bits:
        return False
    return exactness.exact and GridSymmetry(False, 1) in grid_symmetries(proof.subgroup)
