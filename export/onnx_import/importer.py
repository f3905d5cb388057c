"""Importing: a file of another exporter becomes a version of a model, proved, measured, audited."""

import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from artifact.contract import LOGITS, same_labels
from artifact.figures import Metric
from artifact.halves import holds_halves
from artifact.onnx_file import MULTI_LABEL
from artifact.origin import Change, Origin
from artifact.session import check_stays_alive, run_both_ways
from artifact.values import Precision
from audit.proof import Proof
from audit.proving import prove_or_give_up
from export.onnx_import.adapt import Adapted
from export.onnx_import.bundle import Bundle
from export.onnx_import.graphs import OnnxImportError, finished
from export.onnx_import.inputs import Sides
from export.onnx_import.project import Projection, project
from export.onnx_import.size import network_size
from export.onnx_import.symmetrise import symmetrise
from export.onnx_import.understand import Request, understand
from export.publish import Candidate, Progress, check_place, publish
from export.runtime import batches, open_model
from imaging import check_grid, grid_rotations

__all__ = ["Request", "import_onnx"]

TRIVIAL = "trivial"


def import_onnx(request: Request, repository: Path, progress: Progress = lambda *_: None) -> Path:
    """Import a file as the next version of a model and return the version's directory.

    Raises
    ------
    OnnxImportError
        If the file cannot be brought into the contract, or is not what the request says it is.
    ValueError
        If the images cannot be read, or `publish` refuses the file.
    """
    check_place(repository, request.name)
    understood = understand(request)
    request, bundle, adapted = understood.request, understood.bundle, understood.adapted
    pictures = understood.pictures

    changed, projection = _changed(request, adapted)
    size = network_size(changed)
    file = understood.given if changed is adapted.model else finished(changed, {})
    group = _group(request, file, adapted.size, progress)
    precision = _precision(changed)
    model = finished(changed, _metadata(request, adapted, group, precision, bundle))
    sample = understood.sample(group, size.multiply_adds)
    audit_set = AuditSet(pictures.images, pictures.labels, pictures.groups)
    audited = audit_set.spread(sample.audited)
    if changed is not adapted.model:
        check_stays_alive(model)
    logits = _logits(model, audited.images, "classifying", progress)
    change = None
    if request.symmetrise or projection is not None:
        before = _logits(understood.given, audited.images, "classifying as before", progress)
        change = _change(group, adapted, before, logits, audited.labels, projection)
    return publish(
        Candidate(
            name=request.name,
            model=model,
            description=_description(bundle.file.name, change),
            group=group,
            precision=precision,
            classes=request.classes,
            multi_label=adapted.multi_label,
            input=understood.spec,
            audit_set=audit_set,
            audit_source=f"{len(pictures.images)} images of {pictures.source}",
            data_licence=request.licence,
            size=size,
            metrics=_metrics(logits, audited, pictures.source),
            origin=_origin(bundle, adapted, change),
            sample=sample,
        ),
        repository,
        progress,
    )


def _changed(request: Request, adapted: Adapted) -> tuple[onnx.ModelProto, Projection | None]:
    """Give the model a symmetry, if one is asked for."""
    if request.symmetrise:
        several = adapted.multi_label
        return symmetrise(adapted.model, request.symmetrise, multi_label=several), None
    if request.project and request.group:
        projection = project(adapted.model, request.group)
        return projection.model, projection
    return adapted.model, None


def _change(
    group: str,
    adapted: Adapted,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    projection: Projection | None,
) -> Change:
    return Change(
        kind="orbit average" if projection is None else "projection",
        group=group,
        error_percent_before=_error(before, labels),
        error_percent=_error(after, labels),
        label_agreement=float(same_labels(before, after, multi_label=adapted.multi_label).mean()),
        max_abs_logits=float(np.abs(before - after).max()),
        multiply_adds_before=network_size(adapted.model).multiply_adds,
        moved_weights=projection.moved if projection else None,
        relative_weight_change=projection.relative if projection else None,
    )


def _logits(
    model: bytes, images: NDArray[np.uint8], stage: str, progress: Progress
) -> NDArray[np.float32]:
    classify, logits, done = open_model(model), [], 0
    for batch in batches(images):
        logits.append(classify(batch))
        done += len(batch)
        progress(stage, done, len(images))
    return np.concatenate(logits)


def _error(logits: NDArray[np.float32], labels: NDArray[np.int64] | None) -> float | None:
    return None if labels is None else 100 * float((logits.argmax(1) != labels).mean())


def tried_groups(size: Sides) -> tuple[str, str]:
    """The groups to try where none is named, the largest first."""
    rotations = grid_rotations(*size)
    return rotations.replace("C", "D"), rotations


def _group(request: Request, model: bytes, size: Sides, progress: Progress) -> str:
    """Return the group to claim, which has to be proved if it is asked for."""
    asked = request.symmetrise or request.group
    if asked:
        check_grid(asked, *size)
    for group in (asked,) if asked else tried_groups(size):
        progress(f"trying to prove {group}", 0, 1)
        proof = prove_or_give_up(model, group, runtime=run_both_ways)
        progress(f"trying to prove {group}", 1, 1)
        if proof.outcome != "NOT PROVED":
            return group
        if asked:
            raise OnnxImportError(_refusal(request, proof))
    return TRIVIAL


def _refusal(request: Request, proof: Proof) -> str:
    reason = " ".join(proof.reasons).rstrip(".")
    option = "--symmetrise" if request.symmetrise else "--group"
    hint = f"without {option} it is imported as a network of no symmetry"
    if not request.symmetrise:
        hint += ", --symmetrise gives it one"
    return f"{request.file.name} is not proved over {proof.group}: {reason}; {hint}."


def _precision(model: onnx.ModelProto) -> Precision:
    """Return how a file computes; one with integers is held to equal bits when it is published."""
    if any(node.op_type.startswith(("QLinear", "Dequantize")) for node in model.graph.node):
        return "int8"
    return "fp16" if holds_halves(model, LOGITS) else "fp32"


def _metadata(
    request: Request, adapted: Adapted, group: str, precision: str, bundle: Bundle
) -> dict[str, str]:
    several = dict([MULTI_LABEL]) if adapted.multi_label else {}
    return several | {
        "name": request.name,
        "group": group,
        "precision": precision,
        "classes": json.dumps(request.classes),
        "source_sha256": bundle.sha256,
    }


def _metrics(logits: NDArray[np.float32], audited: AuditSet, source: str) -> dict[str, Metric]:
    error = _error(logits, audited.labels)
    if error is None:
        return {}
    return {"audit": Metric(error_percent=error, count=len(logits), data_set=source)}


def _description(file: str, change: Change | None) -> str:
    done = {
        None: "",
        "projection": ", its weights averaged over {}",
        "orbit average": ", its logits averaged over {}",
    }[change.kind if change else None]
    return f"Imported from {file}{done.format(change.group if change else '')}."


def _origin(bundle: Bundle, adapted: Adapted, change: Change | None) -> Origin:
    producer = " ".join(
        part for part in (adapted.model.producer_name, adapted.model.producer_version) if part
    )
    return Origin(
        file=bundle.file.name,
        sha256=bundle.sha256,
        weights=bundle.weights,
        producer=producer or "not stated",
        adaptations=adapted.adaptations,
        change=change,
    )
