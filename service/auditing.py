"""The audit of a model as it is loaded: its file, its session, its bundled images."""

import numpy as np
import numpy.typing as npt

from audit import (
    AnglePlan,
    AngleThresholds,
    AuditSet,
    Classifier,
    Progress,
    ProvedSymmetry,
    Report,
    Thresholds,
    audit_angles,
    audit_circle,
    run_audit,
    self_test,
)
from audit.angles.selftest import angle_self_test_questions
from audit.orbit import orbit_questions
from audit.procedure import audited_elements
from audit.selftest import self_test_questions
from imaging import GridSymmetry, grid_symmetries, nearest_arcs
from service.execution import execution_of
from service.version import ServedModel

UPLOADED = "uploaded with the request"


def audit_model(
    model: ServedModel,
    *,
    images: npt.NDArray[np.uint8] | None = None,
    labels: npt.NDArray[np.int64] | None = None,
    source: str = UPLOADED,
    group: str | None = None,
    thresholds: Thresholds | None = None,
    angles: AnglePlan | None = None,
    angle_thresholds: AngleThresholds | None = None,
    circle_images: int = 0,
    replay: str | None = None,
    pictures: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Try the procedure on a mutant and a twin of the model, then audit the model.

    Each batch is one entry in the queue of the model's session, so that requests are answered in
    between. The mutant is opened once for a model.

    Parameters
    ----------
    images : uint8 [N, C, size, size], or None
        Images of the model's input size; the bundled audit set if None.
    labels : int64 [N], or None
        What the images show.
    source
        Where the images come from, for the report; that of the bundled set is on its card.
    group
        The group to try; by default the one that the model was packaged with.
    thresholds
        What is asked; by default what `audit.Thresholds` asks.
    angles, angle_thresholds
        Also audit at sampled angles, and what is asked there.
    circle_images
        So many images, from all over the set, are also tried at every angle.
    replay, pictures
        As for `audit.run_audit`.
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
    card = model.card
    if images is None:
        audited, source = model.audit_set(), card.audit_set.source
    else:
        audited = AuditSet(images, labels)
    count, group = len(audited.images), group or card.audit.group
    thresholds = thresholds or Thresholds.of(card.precision)
    meter = _Meter(progress, questions(model, count, group, angles, circle_images))
    classify = meter.watching(model.session.logits)
    tested = self_test(
        model.read_graph(),
        lambda graph: meter.watching(model.sibling(graph).logits),
        audited.images,
        group=group,
        thresholds=thresholds,
    )
    report = run_audit(
        classify,
        audited.images,
        audited.labels,
        group=group,
        thresholds=thresholds,
        model=card.identity,
        source=source,
        self_test=tested,
        execution=execution_of(model.session),
        replay=replay,
        pictures=pictures,
    )
    at_angles, around = None, None
    if angles is not None:
        at_angles = audit_angles(
            classify,
            audited.images,
            audited.labels,
            plan=angles,
            thresholds=angle_thresholds or AngleThresholds(),
            pictures=pictures,
        )
    if circle_images:
        around = audit_circle(
            classify,
            audited.images,
            range(0, count, _step(count, circle_images)),
            symmetry=_proved_symmetry(model, report),
            confidence=thresholds.confidence,
            fill=card.input.fit.fill,
        )
    meter.end()
    return report.joined(at_angles, around)


def questions(
    model: ServedModel, count: int, group: str, angles: AnglePlan | None, circle_images: int
) -> int:
    """How many images an audit over so many images classifies, self-tests included.

    Every angle of an image is counted, though neighbours that are equal are classified once: where
    there is a circle, it is at most so many.

    Raises
    ------
    ValueError
        If the group cannot be tried, or the images are too large to be tried at every angle.
    """
    elements = len(audited_elements(group))
    total = orbit_questions(count, elements) + self_test_questions(count, elements)
    if angles is not None:
        total += angles.questions(count) + angle_self_test_questions(count)
    if circle_images:
        quarters = 1 if _quarters_exact(model) else 4
        tried = len(range(0, count, _step(count, circle_images)))
        total += tried * quarters * nearest_arcs(model.card.input.fit.size).count
    return total


class _Meter:
    """Counts what is classified by all parts of an audit together."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def watching(self, classify: Classifier) -> Classifier:
        """Count what a classifier is asked."""

        def ask(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            logits = classify(images)
            self._done += len(images)
            self._tell()
            return logits

        return ask

    def end(self) -> None:
        """Take what was not classified, because it was known, as done."""
        self._done = self._total
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)


def _step(count: int, some: int) -> int:
    return -(-count // min(some, count))


def _quarters_exact(model: ServedModel) -> bool:
    """Whether quarter turns are proved, and measured here, to change no bit."""
    proof, exactness = model.verification.proof, model.verification.exactness
    return (
        _quarters_proved(model)
        and proof is not None
        and proof.exact_bits
        and exactness is not None
        and exactness.exact
    )


def _quarters_proved(model: ServedModel) -> bool:
    proof = model.verification.proof
    if proof is None or proof.outcome != "PROVED":
        return False
    return GridSymmetry(False, 1) in grid_symmetries(proof.subgroup)


def _proved_symmetry(model: ServedModel, report: Report) -> ProvedSymmetry | None:
    """What is proved of quarter turns, and how far they move a logit of what runs here."""
    if not _quarters_proved(model):
        return None
    if _quarters_exact(model):
        return ProvedSymmetry(rounding=0.0)
    return ProvedSymmetry(rounding=report.thresholds.logit_tolerance * report.figures.largest_logit)
