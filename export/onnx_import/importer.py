"""Importing: a file of another exporter becomes a version of a model, proved, measured, audited."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from artifact.audit_set import AuditSet
from artifact.card import InputSpec
from artifact.contract import same_labels
from artifact.figures import Metric
from artifact.layout import check_name
from artifact.onnx_file import MULTI_LABEL
from artifact.origin import Change, Origin
from artifact.session import run_as_written
from artifact.values import Precision
from audit.labels import MANY_LABELS
from audit.proof import Proof
from audit.proving import prove_or_give_up
from export.onnx_import.adapt import Adapted, adapt
from export.onnx_import.answers import check_answers
from export.onnx_import.bundle import Bundle, read_bundle
from export.onnx_import.graphs import OnnxImportError, finished
from export.onnx_import.inputs import Scaling, Sides
from export.onnx_import.outputs import OutputKind
from export.onnx_import.preprocessing import Preprocessing
from export.onnx_import.project import Projection, project
from export.onnx_import.size import network_size
from export.onnx_import.symmetrise import symmetrise
from export.publish import Candidate, Progress, publish
from export.runtime import batches, open_model
from imaging import FitPolicy, check_grid, grid_rotations
from imaging.fit import FitFilter, FitMode
from models.datasets.pictures import Pictures, read_pictures

TRIVIAL = "trivial"


@dataclass(frozen=True)
class Request:
    """What is to be imported, and how.

    Attributes
    ----------
    file
        The graph, or a folder with it; what lies beside it is read as well.
    classes
        Their names; by default those that lie beside the graph.
    multi_label
        Whether an image may get several labels, where the file gives logits and does not tell.
    fit, resize, filter
        What becomes of images of other sizes; by default what lies beside the graph says, and
        padding by the bilinear filter where nothing does.
    group
        The group to prove; by default the largest that the file is proved to be invariant under.
    pictures
        The folder of images, or the audit set, that the version is measured on.
    white_level
        The white of images of more than 8 bits, as the card keeps it.
    project
        Whether to average weights that nearly tie over ``group``.
    symmetrise
        A group to average the logits over.
    """

    file: Path
    name: str
    classes: tuple[str, ...]
    pictures: Path
    group: str | None = None
    scaling: Scaling | None = None
    size: int | Sides | None = None
    output: str | None = None
    output_kind: OutputKind | None = None
    multi_label: bool = False
    fit: FitMode | None = None
    fill: int = 0
    resize: int | None = None
    filter: FitFilter | None = None
    white_level: int | None = None
    project: bool = False
    symmetrise: str | None = None
    licence: str = "not stated"


def import_onnx(request: Request, repository: Path, progress: Progress = lambda *_: None) -> Path:
    """Import a file as the next version of a model and return the version's directory.

    Raises
    ------
    OnnxImportError
        If the file cannot be brought into the contract, or is not what the request says it is.
    ValueError
        If the images cannot be read, or `publish` refuses the file.
    """
    check_name(request.name)
    bundle = read_bundle(request.file)
    data, said = bundle.data, bundle.said
    request = replace(request, classes=request.classes or said.classes)
    _check(request)
    adapted = adapt(
        data,
        len(request.classes),
        scaling=request.scaling,
        size=request.size,
        output=request.output,
        output_kind=request.output_kind,
        multi_label=request.multi_label,
        said=said,
    )
    policy, fitting = _fit_policy(request, said, adapted.size)
    adapted = replace(
        adapted, adaptations=(*bundle.notes, *said.notes, *adapted.adaptations, fitting)
    )
    spec = InputSpec.model_validate(
        {
            "channels": adapted.channels,
            "fit": policy,
            "white_level": request.white_level,
        }
    )
    pictures = read_pictures(
        request.pictures, request.classes, adapted.channels, spec.fit, spec.white_level
    )
    given = finished(adapted.model, {})
    if adapted.multi_label and pictures.labels is not None:
        raise OnnxImportError(MANY_LABELS)
    check_answers(data, adapted, given, pictures.images, len(request.classes))

    changed, change = _changed(request, adapted, given, pictures)
    group = _group(request, finished(changed, {}), adapted.size)
    precision = _precision(changed)
    model = finished(changed, _metadata(request, adapted, group, precision, bundle))
    return publish(
        Candidate(
            name=request.name,
            model=model,
            description=_description(bundle.file.name, change),
            group=group,
            precision=precision,
            classes=request.classes,
            multi_label=adapted.multi_label,
            input=spec,
            audit_set=AuditSet(pictures.images, pictures.labels),
            audit_source=f"{len(pictures.images)} images of {pictures.source}",
            data_licence=request.licence,
            size=network_size(changed),
            metrics=_metrics(model, pictures),
            origin=_origin(bundle, adapted, change),
        ),
        repository,
        progress,
    )


def _fit_policy(request: Request, said: Preprocessing, size: Sides) -> tuple[FitPolicy, str]:
    """Return what becomes of images of other sizes, and a sentence about it."""
    for option, given in (("--fit", request.fit), ("--filter", request.filter)):
        if given is None and option in said.unclear:
            raise OnnxImportError(said.ask(option))
    mode, resize = request.fit or said.fit or "pad", request.resize
    if request.fit is None and said.resize is not None and said.size != size:
        raise OnnxImportError(
            f"What lies beside the file crops to {_shown(said.size)} pixels, and the file takes "
            f"{_shown(size)}; --fit says what is to become of images."
        )
    if resize is None and mode == said.fit:
        resize = said.resize
    policy = FitPolicy(
        size[0],
        mode,
        request.fill,
        resize,
        request.filter or said.filter or "bilinear",
        size[1] if size[0] != size[1] else None,
    )
    whole = f"{_shown(size)} pixels" if policy.width else "a square"
    part = f"part of the proportions of {_shown(size)}" if policy.width else "square"
    shown = {
        "pad": f"padded to {whole} of level {policy.fill}",
        "crop": f"cropped to the largest {part}",
        "stretch": f"stretched to {whole if resize is None else f'{resize} pixels and cropped'}",
        "resize-crop": f"resized to {resize} pixels on the shorter side and cropped",
    }[mode]
    return policy, f"Images of other sizes are {shown}, by the {policy.filter} filter."


def _shown(size: Sides | None) -> str:
    if size is None:
        return "no known number of"
    return str(size[0]) if size[0] == size[1] else f"{size[0]} x {size[1]}"


def _check(request: Request) -> None:
    if not request.classes:
        raise OnnxImportError("Nothing beside the file names its classes; --classes does.")
    if len(request.classes) < 2 or len(set(request.classes)) < len(request.classes):
        raise OnnxImportError("Two or more classes with names of their own are accepted.")
    if request.project and request.symmetrise:
        raise OnnxImportError("--project or --symmetrise is accepted, not both.")
    if request.project and not request.group:
        raise OnnxImportError("--project averages over a group; --group names it.")
    if request.symmetrise and request.group not in (None, request.symmetrise):
        raise OnnxImportError(
            "--symmetrise names the group already; --group is not accepted with it."
        )


def _changed(
    request: Request, adapted: Adapted, given: bytes, pictures: Pictures
) -> tuple[onnx.ModelProto, Change | None]:
    """Give the model a symmetry, if one is asked for, and measure what that changed."""
    model = adapted.model
    if request.symmetrise:
        averaged = symmetrise(model, request.symmetrise, multi_label=adapted.multi_label)
        return averaged, _measure(request.symmetrise, adapted, averaged, given, pictures, None)
    if request.project and request.group:
        projection = project(model, request.group)
        changed = projection.model
        return changed, _measure(request.group, adapted, changed, given, pictures, projection)
    return model, None


def _measure(
    group: str,
    before: Adapted,
    after: onnx.ModelProto,
    given: bytes,
    pictures: Pictures,
    projection: Projection | None,
) -> Change:
    old, new = (_logits(file, pictures.images) for file in (given, finished(after, {})))
    return Change(
        kind="orbit average" if projection is None else "projection",
        group=group,
        error_percent_before=_error(old, pictures.labels),
        error_percent=_error(new, pictures.labels),
        label_agreement=float(same_labels(old, new, multi_label=before.multi_label).mean()),
        max_abs_logits=float(np.abs(old - new).max()),
        multiply_adds_before=network_size(before.model).multiply_adds,
        moved_weights=projection.moved if projection else None,
        relative_weight_change=projection.relative if projection else None,
    )


def _logits(model: bytes, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    classify = open_model(model)
    return np.concatenate([classify(batch) for batch in batches(images)])


def _error(logits: NDArray[np.float32], labels: NDArray[np.int64] | None) -> float | None:
    return None if labels is None else 100 * float((logits.argmax(1) != labels).mean())


def _group(request: Request, model: bytes, size: Sides) -> str:
    """Return the group to claim, which has to be proved if it is asked for."""
    asked = request.symmetrise or request.group
    if asked:
        check_grid(asked, *size)
        proof = prove_or_give_up(model, asked, runtime=run_as_written)
        if proof.outcome == "NOT PROVED":
            raise OnnxImportError(_refusal(request, proof))
        return asked
    rotations = grid_rotations(*size)
    for group in (rotations.replace("C", "D"), rotations):
        if prove_or_give_up(model, group, runtime=run_as_written).outcome != "NOT PROVED":
            return group
    return TRIVIAL


def _refusal(request: Request, proof: Proof) -> str:
    reason = " ".join(proof.reasons).rstrip(".")
    hint = "without --group it is imported as a network of no symmetry, --symmetrise gives it one"
    return f"{request.file.name} is not proved over {proof.group}: {reason}; {hint}."


def _precision(model: onnx.ModelProto) -> Precision:
    """Return how a file computes; one with integers is held to equal bits when it is published."""
    if any(node.op_type.startswith(("QLinear", "Dequantize")) for node in model.graph.node):
        return "int8"
    halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if halves else "fp32"


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


def _metrics(model: bytes, pictures: Pictures) -> dict[str, Metric]:
    error = _error(_logits(model, pictures.images), pictures.labels)
    if error is None:
        return {}
    count, source = len(pictures.images), pictures.source
    return {"audit": Metric(error_percent=error, count=count, data_set=source)}


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
        producer=producer or "not stated",
        adaptations=adapted.adaptations,
        change=change,
    )
