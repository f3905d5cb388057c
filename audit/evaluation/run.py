"""One look at labelled images, and all that it says."""

import base64
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from audit.evaluation.figures import evaluation_figures
from audit.evaluation.gate import judge_accuracy
from audit.evaluation.probabilities import Probabilities, probabilities
from audit.evaluation.schema import Answer, Asked, Evaluation, Picture, Unread
from audit.labels import check_labels, refuse_several_labels
from audit.orbit import BatchedClassifier, Progress
from audit.pipeline import ModelUnderTest
from audit.provenance import DataIdentity
from audit.units import Units, find_units
from audit.values import Judgement
from imaging import RefusedError, grid_symmetries, png

_SHOWN_CHANNELS: Final = (1, 3)
_BUNDLED: Final = (
    "These images came with the model, and who made it knew them: images of your own say more."
)


def evaluate(
    under_test: ModelUnderTest,
    labelled: AuditSet,
    asked: Asked,
    *,
    source: str,
    pictures: int = 0,
    unread: Sequence[Unread] = (),
    replay: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Classify images whose labels are known, each once and upright.

    Parameters
    ----------
    pictures
        So many of the wrong images, those of the largest probability, are in the evaluation.
    source, unread, replay
        Where the images come from, files that were left out, and the command that does the same
        again; only reported.

    Raises
    ------
    ValueError
        If the model gives several labels, there are no labels, one is no class, the answers are no
        logits, or the model under test changed meanwhile.
    """
    refuse_several_labels(under_test.identity.multi_label, under_test.identity.name, "evaluated")
    images, expected = labelled.images, labelled.labels
    if expected is None:
        raise RefusedError("The images have no labels; what each of them shows has to be known.")
    size = under_test.batch_size
    batches = (images[start : start + size] for start in range(0, len(images), size))
    ask = BatchedClassifier(under_test.classify, len(images), progress)
    answers = np.concatenate([*ask.each(batches)])
    check_labels(expected, answers.shape[1])
    under_test.confirm()
    found = probabilities(answers)
    units = _units(labelled)
    of = None if units is None else units.of
    figures = evaluation_figures(found, expected, asked.confidence, of)
    data = DataIdentity(
        source=source,
        count=len(images),
        units=None if units is None else units.count,
        sha256=labelled.sha256(),
        image_sha256=labelled.image_sha256(),
        files=labelled.files,
    )
    judgement: Judgement | None = judge_accuracy(figures.accuracy, asked, data.units)
    known = (_BUNDLED,) if data.sha256 == under_test.bundled else ()
    evaluation = Evaluation(
        verdict=judgement.verdict if judgement else None,
        reasons=judgement.reasons if judgement else (),
        claim=(*_claim(labelled, units, found, unread), *known, *under_test.caveats),
        asked=asked,
        model=under_test.identity,
        data=data,
        figures=figures,
        answers=tuple(_answers(found, expected, data)),
        unread=tuple(unread),
        execution=under_test.execution,
        replay=replay,
    )
    shown = [index for index, _ in evaluation.wrong()][:pictures]
    return evaluation.model_copy(update={"pictures": tuple(_pictures(images, shown))})


def _units(labelled: AuditSet) -> Units | None:
    """What was drawn: groups of images, equal ones together; None if each image was by itself.

    Rotated and mirrored copies are equal ones: a model that is invariant answers them alike.
    """
    height, width = labelled.images.shape[2:]
    copies = grid_symmetries("D4" if height == width else "D2")
    units = find_units(labelled.images, copies, labelled.groups)
    alone = labelled.groups is None and units.count == len(labelled.images)
    return None if alone else units


def _claim(
    labelled: AuditSet, units: Units | None, found: Probabilities, unread: Sequence[Unread]
) -> Iterator[str]:
    alone, count = labelled.groups is None, len(labelled.images)
    drawn = "image was drawn" if alone else "group of images was drawn"
    yield (
        f"Intervals hold if each {drawn} at random, and by itself, from all that are meant: they "
        "say nothing of another camera, line or season."
    )
    if alone and units is not None:
        groups = f"{units.count} group{'s' * (units.count != 1)}"
        yield (
            f"Some images are equal, or are once they are rotated or mirrored: the {count} count "
            f"as {groups}, since what comes again says nothing new."
        )
    if alone:
        yield (
            "Several photographs of one part make them too narrow, unless --group-by says which "
            "belong together."
        )
    if found.normalised:
        yield (
            "The model's answers add up to 1 for every image, and were read as probabilities, not "
            "as logits."
        )
    if unread:
        yield f"{len(unread)} files could not be read; they count neither as right nor as wrong."


def _answers(
    found: Probabilities, expected: NDArray[np.int64], data: DataIdentity
) -> Iterator[Answer]:
    for index, (due, given) in enumerate(zip(expected, found.labels, strict=True)):
        yield Answer(
            name=data.image_name(index),
            expected=int(due),
            answered=int(given),
            probability=float(found.values[index, given]),
            expected_probability=float(found.values[index, due]),
            rank=int(found.ranks[index, due]),
        )


def _pictures(images: NDArray[np.uint8], places: Sequence[int]) -> Iterator[Picture]:
    if images.shape[1] in _SHOWN_CHANNELS:
        for index in places:
            yield Picture(index=index, png=base64.b64encode(png(images[index])).decode())
