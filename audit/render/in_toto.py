"""A report as an in-toto statement about the model's file, for policies and supply chains."""

from typing import Any, Final

from artifact.values import Verdict
from audit.canonical import circumstances_json, report_digest, sha256
from audit.render.checks import checks
from audit.render.document import write_document
from audit.report import Report

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
REPORT: Final = "report.json"
CIRCUMSTANCES: Final = "circumstancesSha256"
EXECUTION: Final = "execution"

# The predicate has no word for "nothing was shown"; whoever asks for PASSED is not misled.
RESULTS: Final[dict[Verdict, str]] = {
    "PASS": "PASSED",
    "FAIL": "FAILED",
    "INCONCLUSIVE": "WARNED",
}


def render_in_toto(report: Report) -> bytes:
    """Write a statement, not signed, with the predicate `test-result` in version 0.1.

    Its subject is the model's file. Its configuration is the report, by the digest of its
    canonical JSON, and the audit set. Annotations have the digest of what is outside of that, and
    what ran the model: null where that is not known, as of a service that was asked from outside,
    whose file nobody read.
    """
    model, data = report.model, report.data
    predicate: dict[str, Any] = {
        "result": RESULTS[report.verdict],
        "configuration": [
            {
                "name": REPORT,
                "mediaType": "application/json",
                "digest": {"sha256": report_digest(report)},
                "annotations": _asked(report),
            },
            {"name": data.source, "digest": {"sha256": data.sha256}},
        ],
    }
    for verdict, result in RESULTS.items():
        names = [check.id for check in checks(report) if check.verdict == verdict]
        predicate[f"{result.lower()}Tests"] = names
    return write_document(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": f"{model.name}/{model.version}/model.onnx",
                    "digest": {"sha256": model.sha256},
                }
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    )


def _asked(report: Report) -> dict[str, Any]:
    """What was asked, for policies that compare it; the whole of it is in the report."""
    asked: dict[str, Any] = {
        "schemaVersion": report.schema_version,
        CIRCUMSTANCES: sha256(circumstances_json(report)),
        "group": report.group,
        "thresholds": report.thresholds.model_dump(mode="json"),
        EXECUTION: report.execution and report.execution.model_dump(mode="json"),
    }
    if report.angles is not None:
        asked["angles"] = report.angles.sampling.model_dump(mode="json")
        asked["angleThresholds"] = report.angles.thresholds.model_dump(mode="json")
    if report.proof is not None:
        asked["proof"] = report.proof.model_dump(mode="json") | {
            "sentence": report.proof.sentence()
        }
    if report.about is not None:
        asked["about"] = report.about.model_dump(mode="json", exclude_none=True)
    if report.replay is not None:
        asked["replay"] = report.replay
    return asked
