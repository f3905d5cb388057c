"""An audit from end to end: classify the orbits, measure, judge, report."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from artifact.identity import ModelIdentity
from audit.counterexample import COUNTEREXAMPLES
from audit.elements import audited_elements
from audit.figures import moved_units, noise_floor, orbit_figures, worst_images
from audit.labels import MANY_LABELS
from audit.moved import moved_images
from audit.names import class_naming
from audit.orbit import Classifier, Progress, evaluate_orbit
from audit.proved import ProofSummary
from audit.provenance import DataIdentity, Execution
from audit.questions import Workers
from audit.report import Report, SelfTest
from audit.thresholds import Thresholds
from audit.units import Units, find_units, near_duplicates
from audit.verdict import counted, judge, orbit_claim, proof_claim, several_labels_claim
from imaging.refusal import RefusedError


def run_audit(
    classify: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    *,
    group: str,
    thresholds: Thresholds,
    model: ModelIdentity,
    source: str,
    self_test: SelfTest | None = None,
    proof: ProofSummary | None = None,
    units: Units | None = None,
    files: tuple[str, ...] = (),
    others: Sequence[Classifier] = (),
    execution: Execution | None = None,
    replay: str | None = None,
    pictures: bool = True,
    batch_size: int = 64,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> Report:
    """Measure how far a classifier is invariant under the exact symmetries of a group.

    Parameters
    ----------
    classify
        From uint8 [N, C, H, W] to logits float32 [N, K].
    images : uint8 [N, C, H, W]
        Images that already have the model's input size.
    labels : int64 [N], or None
        What they show, for the accuracy.
    group
        The group to try, `"C4"` or `"D4"` for instance; not necessarily the model's own.
    thresholds
        What is asked.
    model, source
        What is audited, and where the images come from; they are only reported.
    self_test
        The outcome of `audit.self_test` on the same model; a failed one forbids a verdict.
    proof
        What is proved of the file.
    units
        Which images count once together; by default those that are equal up to the group.
    files
        What each image was read from, where that is known; only reported.
    others
        The same model opened otherwise, with other thread counts for instance: how far its answers
        to upright images differ is part of the noise floor.
    execution, replay
        What runs the model, and the command that makes the same report again; only reported.
    pictures
        Whether the report holds the pictures of its worst images.
    batch_size
        The most images that are classified at once.
    progress
        Called with the images classified so far and in all.
    workers
        Who is asked instead of `classify` where it is about all images.

    Raises
    ------
    ValueError
        If the images, the labels, the group or the classifier's answers are not as described.
    """
    if labels is not None and model.multi_label:
        raise RefusedError(MANY_LABELS)
    audit_set = AuditSet(images, labels, files=files)
    units = units or find_units(images, audited_elements(group))
    orbit = evaluate_orbit(
        classify,
        images,
        audited_elements(group),
        others=others,
        batch_size=batch_size,
        progress=progress,
        multi_label=model.multi_label,
        workers=workers,
    )
    moved = moved_images(images, audited_elements(group))
    figures = orbit_figures(orbit, labels, thresholds, units, moved)
    floor = noise_floor(orbit, thresholds.confidence, units)
    judgement = judge(
        figures,
        floor,
        thresholds,
        self_test,
        proof,
        None if moved.all() else moved_units(orbit, labels, units, moved),
        name=class_naming(model.classes),
    )
    data = DataIdentity(
        source=source,
        count=len(images),
        units=units.count,
        near_duplicates=near_duplicates(images, audited_elements(group), units),
        sha256=audit_set.sha256(),
        image_sha256=audit_set.image_sha256(),
        files=files,
    )
    return Report(
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        orbit_verdict=judgement.verdict,
        claim=(
            *(() if proof is None else proof_claim(proof, figures, multi_label=model.multi_label)),
            *several_labels_claim(model.multi_label),
            *orbit_claim(audited_elements(group)),
            *counted(data),
        ),
        group=group,
        model=model,
        label_sets=orbit.label_sets.sets if model.multi_label else (),
        data=data,
        thresholds=thresholds,
        noise_floor=floor,
        figures=figures,
        proof=proof,
        worst=worst_images(orbit, images, COUNTEREXAMPLES, pictures=pictures),
        self_test=self_test,
        execution=execution,
        replay=replay,
    )
