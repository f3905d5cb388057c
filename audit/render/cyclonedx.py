"""A report as the model card of a CycloneDX 1.6 bill of materials: figures with their intervals."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from artifact.values import Interval
from audit.angles import AngleOutcome
from audit.canonical import circumstances_json, report_digest, sha256
from audit.names import readable
from audit.render.document import write_document
from audit.render.html import render_polar
from audit.render.properties import properties
from audit.report import Report

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def render_cyclonedx(report: Report) -> bytes:
    """Write a bill of materials about one model, with what was measured on its model card.

    Its serial number is made from all of the report, so that equal documents have equal ones.
    """
    digest, asked = report_digest(report), sha256(circumstances_json(report))
    return write_document(
        {
            "$schema": _SCHEMA,
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": uuid5(NAMESPACE_URL, f"urn:sha256:{digest}:{asked}").urn,
            "version": 1,
            "metadata": {"component": _component(report, digest)},
        }
    )


def _component(report: Report, digest: str) -> dict[str, Any]:
    model = report.model
    return {
        "type": "machine-learning-model",
        "bom-ref": f"{model.name}/{model.version}",
        "name": model.name,
        "version": str(model.version),
        "hashes": [{"alg": "SHA-256", "content": model.sha256}],
        "modelCard": {
            "modelParameters": {
                "task": "image classification",
                "datasets": [_data_set(report)],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [*_metrics(report)],
                **_graphics(report.angles),
            },
            "considerations": {"technicalLimitations": [*_claims(report)]},
        },
        "properties": [
            {"name": f"orbitserve:audit:{name}", "value": value}
            for name, value in _properties(report, digest)
        ],
    }


def _data_set(report: Report) -> dict[str, Any]:
    data = report.data
    return {
        "type": "dataset",
        "name": data.source,
        "description": f"The {data.count} images of the audit.",
        "contents": {"properties": [{"name": "sha256", "value": data.sha256}]},
    }


def _properties(report: Report, digest: str) -> Iterator[tuple[str, str]]:
    yield "verdict", report.verdict
    yield "report-sha256", digest
    yield "group", report.group
    yield "precision", report.model.precision
    if report.execution is not None:
        for name, value in report.execution.model_dump(exclude_none=True).items():
            yield f"execution:{name}", str(value)
    yield from properties(report)
    if report.replay is not None:
        yield "replay", report.replay


def _metrics(report: Report) -> Iterator[dict[str, Any]]:
    figures, orbit = report.figures, f"exact orbit of {report.group}"
    yield _metric(
        "images that keep their label", figures.label_agreement, orbit, figures.agreement_interval
    )
    yield _metric(
        "largest change of a logit, relative to the largest logit",
        figures.relative_logit_deviation,
        orbit,
    )
    yield _metric(
        "noise floor, relative to the largest logit", report.noise_floor.relative, "upright images"
    )
    if (accuracy := figures.accuracy) is not None:
        part = accuracy.correct / accuracy.count
        yield _metric("accuracy", part, "upright images", accuracy.interval)
    for element in figures.elements:
        yield _metric("changed labels", element.changed_labels, f"rotated by {element.element}")
    for cell in figures.classes:
        named = f"{orbit}, class {readable(report.model.class_name(cell.label))}"
        part = cell.agreeing / cell.images
        yield _metric("images that keep their label", part, named, cell.interval)
    if report.angles is not None:
        yield from _angle_metrics(report.angles)


def _angle_metrics(angles: AngleOutcome) -> Iterator[dict[str, Any]]:
    figures, sampling = angles.figures, angles.sampling
    rotated = f"{sampling.count} angles, {sampling.method}"
    agreement = "images that keep their label"
    yield _metric(
        agreement, figures.agreeing_images / figures.images, rotated, figures.agreement_interval
    )
    yield _metric(
        agreement,
        figures.control_agreeing / figures.images,
        f"{rotated}, rotated and rotated back",
        figures.control_interval,
    )
    if figures.damped_agreeing is not None:
        yield _metric(
            agreement,
            figures.damped_agreeing / figures.images,
            f"{rotated}, damped as by the rotations and not rotated",
            figures.damped_interval,
        )
    for point in figures.curve:
        yield _metric(agreement, point.agreement, f"{point.degrees:.6g} degrees", point.band)


def _graphics(angles: AngleOutcome | None) -> dict[str, Any]:
    if angles is None:
        return {}
    picture = {
        "contentType": "image/svg+xml",
        "encoding": "base64",
        "content": b64encode(render_polar(angles)).decode(),
    }
    return {
        "graphics": {"collection": [{"name": "images that keep their label", "image": picture}]}
    }


def _metric(what: str, value: float, of: str, interval: Interval | None = None) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": what, "value": repr(value), "slice": of}
    if interval is not None:
        metric["confidenceInterval"] = {
            "lowerBound": repr(interval.low),
            "upperBound": repr(interval.high),
        }
    return metric


def _claims(report: Report) -> tuple[str, ...]:
    between = () if report.angles is None else report.angles.claim
    around = () if report.exhaustive_angles is None else report.exhaustive_angles.claim
    return (*report.claim, *between, *around)
