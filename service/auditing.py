"""The audit of a model as it is loaded: its file, its session, its bundled images."""

import numpy as np
import numpy.typing as npt

from audit import (
    AnglePlan,
    AngleThresholds,
    AuditSet,
    Progress,
    Question,
    Report,
    Thresholds,
    audit_tiers,
)
from service.subjects.version import version_subject
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
    progress
        Called with the images classified so far and in all.

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
    group = group or card.audit.group
    thresholds = thresholds or Thresholds.of(card.precision)
    question = Question(
        group=group,
        thresholds=thresholds,
        angles=angles,
        angle_thresholds=angle_thresholds or AngleThresholds(),
        circle_images=circle_images,
    )

    def stages(stage: str, done: int, total: int) -> None:
        if progress is not None:
            progress(done, total)

    return audit_tiers(version_subject(model), audited, question, source=source, stages=stages)
