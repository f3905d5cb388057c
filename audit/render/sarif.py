"""A report as SARIF 2.1.0, for the places that show findings."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from artifact.values import Verdict
from audit.canonical import report_digest
from audit.render.checks import Check, checks
from audit.render.document import write_document
from audit.render.language import words_of
from audit.render.naming import Naming
from audit.render.properties import properties
from audit.report import Report

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

# `open`: there was not enough information to decide (SARIF 2.1.0, section 3.27.9).
_KINDS: Final[dict[Verdict, str]] = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}

# Each with what to do about it.
_RULES: Final = {
    "self-test": (
        "The audit tells a broken symmetry from a sound one.",
        "Audit with images that the model tells apart, and more of them.",
    ),
    "exact-orbit": (
        "The answer does not change under the symmetries of the pixel grid that were tried.",
        "Serve a network with the symmetry built in, or average this one over the group with "
        "`orbitserve import --symmetrise`.",
    ),
    "angles-self-test": (
        "The audit at angles tells what rotates with an image from what does not.",
        "Audit with images that have a top and a bottom, and more of them.",
    ),
    "sampled-angles": (
        "The label does not change at angles between the quarter turns.",
        "Look at the images that lose their label, and train with a finer group or on rotated "
        "images.",
    ),
}
_RULE_INDEX: Final = {rule: index for index, rule in enumerate(_RULES)}


def render_sarif(report: Report) -> bytes:
    """Write a result for each check, and one for each of the worst images whose label changed.

    Such an image counts as a finding where its check is a FAIL; else it is informational.
    """
    run: dict[str, Any] = {
        "tool": {"driver": _driver(report)},
        "automationDetails": {"id": f"orbitserve/audit/{_version(report)}"},
        "invocations": [_invocation(report)],
        "artifacts": [
            {
                "location": _model_location(report),
                "hashes": {"sha-256": report.model.sha256},
                "roles": ["analysisTarget"],
            }
        ],
        "results": [*_results(report)],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": report.verdict,
            "reportSha256": report_digest(report),
            "dataSha256": report.data.sha256,
            **dict(properties(report)),
        },
    }
    return write_document({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _driver(report: Report) -> dict[str, Any]:
    driver: dict[str, Any] = {
        "name": "orbitserve audit",
        "rules": [
            {
                "id": rule,
                "shortDescription": {"text": asked},
                "fullDescription": {"text": asked},
                "help": {"text": remedy},
            }
            for rule, (asked, remedy) in _RULES.items()
        ],
    }
    if report.execution is not None:
        driver["version"] = report.execution.orbitserve
    return driver


def _invocation(report: Report) -> dict[str, Any]:
    replayed = {} if report.replay is None else {"commandLine": report.replay}
    return {"executionSuccessful": True, **replayed}


def _results(report: Report) -> Iterator[dict[str, Any]]:
    found = {check.id: check for check in checks(report)}
    naming = Naming(report, words_of("en"))
    for check in found.values():
        level = "error" if check.verdict == "FAIL" else "none"
        yield _result(report, check, _KINDS[check.verdict], level, " ".join(check.reasons))
    for worst in report.worst:
        if worst.label != worst.rotated_label:
            yield _counterexample(
                report,
                naming,
                found["exact-orbit"],
                worst.index,
                (f"rotated by {worst.element}", naming.rotation(worst.element)),
                (worst.label, worst.rotated_label),
            )
    if report.angles is None:
        return
    for rotated, _ in zip(report.angles.figures.worst, report.angles.counterexamples, strict=False):
        if rotated.label != rotated.rotated_label:
            yield _counterexample(
                report,
                naming,
                found["sampled-angles"],
                rotated.index,
                (f"rotated by {rotated.degrees:.6g} degrees", f"rotated by {rotated.degrees:.6g}°"),
                (rotated.label, rotated.rotated_label),
            )


def _counterexample(
    report: Report,
    naming: Naming,
    check: Check,
    index: int,
    rotation: tuple[str, str],
    labels: tuple[int, int],
) -> dict[str, Any]:
    """Tell of one image; a rotation has a fixed name, for fingerprints, and words."""
    failed = check.verdict == "FAIL"
    kind, level = ("fail", "warning") if failed else ("informational", "none")
    before, after = map(naming.label, labels)
    text = f"{naming.image(index)}: {before} upright becomes {after} when {rotation[1]}."
    digest = report.data.image_sha256[index]
    return _result(report, check, kind, level, text) | {
        "partialFingerprints": {"imageSha256/v1": digest, "turn/v1": rotation[0]},
        "properties": {
            "image": index,
            "imageName": report.data.image_name(index),
            "imageSha256": digest,
            "labels": labels,
            "labelNames": [report.label_name(label) for label in labels],
        },
    }


def _result(report: Report, check: Check, kind: str, level: str, text: str) -> dict[str, Any]:
    return {
        "ruleId": check.id,
        "ruleIndex": _RULE_INDEX[check.id],
        "kind": kind,
        "level": level,
        "message": {"text": text},
        "locations": [
            {"physicalLocation": {"artifactLocation": {**_model_location(report), "index": 0}}}
        ],
    }


def _model_location(report: Report) -> dict[str, Any]:
    # A reference to a URI (SARIF 2.1.0, section 3.4.3): `a:b` would be one of a scheme `a`.
    return {"uri": quote(f"{_version(report)}/model.onnx"), "uriBaseId": "REPOSITORY"}


def _version(report: Report) -> str:
    return f"{report.model.name}/{report.model.version}"
