"""The in-toto format, read by the framework's own library."""

import json
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from audit import Report
from audit.canonical import report_digest
from audit.render import render
from audit.render.checks import checks

PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
RESULTS = {"PASS": "PASSED", "FAIL": "FAILED", "INCONCLUSIVE": "WARNED"}


def read(data: bytes) -> tuple[Statement, Any]:
    """Refuses unknown fields and fields of another type, in the statement and in its predicate."""
    statement = Statement.copy_from_pb(json_format.Parse(data, statement_pb2.Statement()))
    statement.validate()
    assert statement.pb.predicate_type == PREDICATE_TYPE
    predicate = json_format.MessageToDict(statement.pb.predicate)
    result = json_format.ParseDict(predicate, test_result_pb2.TestResult())
    assert result.result in RESULTS.values()
    assert result.configuration
    return statement, result


def test_the_statement_says_of_the_model_what_the_report_says(report: Report) -> None:
    statement, result = read(render(report, "in-toto"))
    (subject,) = statement.pb.subject
    assert subject.name == "m/3/model.onnx"
    assert dict(subject.digest) == {"sha256": report.model.sha256}
    assert result.result == RESULTS[report.verdict]
    named = {
        "PASS": list(result.passed_tests),
        "INCONCLUSIVE": list(result.warned_tests),
        "FAIL": list(result.failed_tests),
    }
    for verdict, names in named.items():
        assert names == [check.id for check in checks(report) if check.verdict == verdict]


def test_a_policy_that_asks_for_passed_lets_nothing_else_through(report: Report) -> None:
    _, result = read(render(report, "in-toto"))
    admitted = result.result == "PASSED" and not result.failed_tests and not result.warned_tests
    assert admitted == (report.verdict == "PASS")


def test_the_statement_is_bound_to_the_report_and_the_data(report: Report) -> None:
    _, result = read(render(report, "in-toto"))
    told, data = result.configuration
    assert dict(told.digest) == {"sha256": report_digest(report)}
    assert told.annotations["thresholds"]["agreement"] == report.thresholds.agreement
    assert told.annotations["replay"] == report.replay
    assert dict(data.digest) == {"sha256": report.data.sha256}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("subject",), []),
        (("subject", 0, "digest"), {}),
        (("predicateType",), ""),
        (("predicate",), {}),
        (("predicate", "result"), "PASS"),
        (("predicate", "verdict"), "PASS"),
        (("predicate", "passedTests"), "exact-orbit"),
        (("predicate", "configuration", 0, "sha256"), "0" * 64),
        (("predicate", "configuration"), []),
    ],
)
def test_what_is_broken_is_refused(
    reports: dict[str, Report], place: tuple[Any, ...], value: Any
) -> None:
    broken = json.loads(render(reports["kept"], "in-toto"))
    *path, last = place
    inner = broken
    for step in path:
        inner = inner[step]
    inner[last] = value
    with pytest.raises((ValueError, json_format.ParseError, AssertionError)):
        read(json.dumps(broken).encode())
