"""What a CI server reads of the JUnit format: failures, errors, and why."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from junitparser import Error, Failure, JUnitXml, TestSuite

import audit.render.junit as junit_module
from audit import Classifier, Report, SelfTest
from audit.canonical import report_digest
from audit.render import render
from audit.render.checks import checks

# The attributes that Jenkins' schema of the form, junit-10.xsd, knows.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"),
        *("hostname", "id", "package", "file", "log", "url", "version"),
    },
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "system-out": set(),
}
OUTCOMES = {"PASS": [], "FAIL": [Failure], "INCONCLUSIVE": [Error]}


def read(data: bytes) -> TestSuite:
    """As a CI server does; what a file counts must be what it holds."""
    (suite,) = JUnitXml.fromroot(ElementTree.fromstring(data))
    counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()
    assert counted == (suite.tests, suite.failures, suite.errors, suite.skipped)
    return suite


def assert_as_judged(suite: TestSuite, report: Report) -> None:
    for case, check in zip(suite, checks(report), strict=True):
        assert case.name == check.name
        assert [type(each) for each in case.result] == OUTCOMES[check.verdict]
        for each in case.result:
            assert each.message == check.reasons[0]
            assert all(reason in each.text for reason in (*check.reasons, *check.claim))


def test_each_check_is_a_test_case_with_its_outcome(report: Report) -> None:
    suite = read(render(report, "junit"))
    assert_as_judged(suite, report)
    assert (suite.failures + suite.errors > 0) == (report.verdict != "PASS")


def test_there_is_nothing_that_jenkins_does_not_know(report: Report) -> None:
    for element in ElementTree.fromstring(render(report, "junit")).iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]


def test_a_failure_is_not_an_error(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant swaps them, and what is read gives it away."""
    swapped = {"FAIL": "error", "INCONCLUSIVE": "failure"}
    monkeypatch.setattr(junit_module, "_OUTCOMES", swapped)
    suite = read(render(report, "junit"))
    if report.verdict == "PASS":
        assert_as_judged(suite, report)
    else:
        with pytest.raises(AssertionError):
            assert_as_judged(suite, report)


def test_wrong_counts_are_noticed(reports: dict[str, Report]) -> None:
    with pytest.raises(AssertionError):
        read(render(reports["broken"], "junit").replace(b'failures="', b'failures="7'))


def test_an_audit_that_fails_its_own_test_is_an_error(
    reports: dict[str, Report], make: Callable[..., Report], plain: Classifier
) -> None:
    broken = SelfTest(images=32, mutant="PASS", known_invariant="PASS")
    report = reports["few"].model_copy(update={"self_test": broken})
    tested, *_ = read(render(report, "junit"))
    assert [type(each) for each in tested.result] == [Error]
    assert "with one weight changed" in tested.result[0].message
    assert "was judged PASS" in tested.result[0].message


def test_the_suite_names_the_model_the_data_and_the_report(report: Report) -> None:
    suite = read(render(report, "junit"))
    told = {each.name: each.value for each in suite.properties()}
    assert suite.name == "m/3"
    assert told["report.sha256"] == report_digest(report)
    assert told["model.sha256"] == report.model.sha256
    assert told["data.sha256"] == report.data.sha256
    assert told["replay"] == report.replay


def test_what_xml_cannot_write_is_replaced(reports: dict[str, Report]) -> None:
    data = render(reports["nasty"], "junit")
    told = {each.name: each.value for each in read(data).properties()}
    assert told["data.source"] == "</script><b>&\"'\ufffd\ufffd\ufffd ]]> ü {{ 7 * 7 }} -->"
