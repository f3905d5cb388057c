"""Names from elsewhere stand in every format, whole somewhere, and are nothing but names."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from artifact.values import Interval
from audit import Report
from audit.names import LONGEST, Names, class_naming, harmless, readable, shortened
from audit.proof import prove
from audit.proved import ProofSummary
from audit.render import render, render_text
from audit.statistics import Cell
from audit.verdict import class_failures
from tests.audit.render.conftest import HARD_NAMES
from tests.audit.render.test_cyclonedx import VALIDATOR
from tests.audit.render.test_html import page
from tests.audit.render.test_in_toto import read as read_in_toto
from tests.audit.render.test_junit import read as read_junit


def named(report: Report, classes: tuple[str, ...], files: tuple[str, ...]) -> Report:
    """A report with other names, also in its reasons."""
    cell = Cell(0, 80, 3, Interval(0.0, 0.1), 1e-9, True)
    cells = [cell, Cell(1, 80, 3, Interval(0.0, 0.1), 1e-9, True)]
    reasons = (*class_failures(cells, 0.8, 1.0, class_naming(classes)), *report.reasons)
    return report.model_copy(
        update={
            "model": report.model.model_copy(update={"classes": classes}),
            "data": report.data.model_copy(update={"files": files}),
            "reasons": reasons,
        }
    )


@pytest.fixture(params=range(len(HARD_NAMES) // 5))
def hard(request: pytest.FixtureRequest, reports: dict[str, Report]) -> Report:
    start = 5 * request.param
    names = HARD_NAMES[start : start + 5]
    files = tuple(f"{names[n % 5]}{n}" for n in range(400))
    return named(reports["named"], names, files)


@pytest.fixture
def easy(reports: dict[str, Report]) -> Report:
    return named(reports["named"], tuple("abcde"), tuple(f"{n}.png" for n in range(400)))


def test_a_page_has_the_same_elements_whatever_the_names(hard: Report, easy: Report) -> None:
    assert page(hard).tags == page(easy).tags


def test_a_page_says_every_name_whole(hard: Report) -> None:
    text = page(hard).text
    for name in (*hard.model.classes, *hard.data.files):
        assert readable(name) in text


def test_text_acts_on_no_terminal(hard: Report) -> None:
    for character in render_text(hard):
        acts = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
        assert not acts or character in "\n\u2068\u2069\u200d"


FORGED = "a\nPASS  forged version 1, over C4\x1b[31m\u202e"


@pytest.mark.parametrize(("node", "output"), [(FORGED, "logits"), ("", FORGED)])
def test_names_of_a_graph_stay_in_their_line(
    reports: dict[str, Report], node: str, output: str
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], [output], name=node)],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 64])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    summary = ProofSummary.of(prove(model.SerializeToString(), "C4"), ())
    assert summary.outcome == "NOT PROVED"
    assert "PASS forged" in summary.sentence()
    told = reports["broken"].model_copy(update={"claim": (summary.sentence(),)})
    for text in (render_text(told), render(told, "junit").decode()):
        assert not any(line.lstrip().startswith("PASS") for line in text.splitlines())


def test_text_isolates_what_is_written_from_right_to_left(hard: Report) -> None:
    for line in render_text(hard).splitlines():
        depth = 0
        for character in line:
            depth += (character == "\u2068") - (character == "\u2069")
            if unicodedata.bidirectional(character) in ("R", "AL"):
                assert depth == 1
        assert depth == 0


def test_text_says_whole_what_it_shortens(hard: Report) -> None:
    text = render_text(hard)
    for name in hard.model.classes:
        assert shortened(name) in text or readable(name) in text or not readable(name)
        assert len(name) <= LONGEST or readable(name) in text


def test_junit_reads(hard: Report) -> None:
    read_junit(render(hard, "junit"))


def test_sarif_reads_and_holds_whole_names(hard: Report) -> None:
    data = render(hard, "sarif")
    Sarif.model_validate_json(data)
    shown = [r["properties"] for r in json.loads(data)["runs"][0]["results"] if "properties" in r]
    assert shown
    for properties in shown:
        assert properties["imageName"] == hard.data.files[properties["image"]]
        whole = [hard.model.classes[label] for label in properties["labels"]]
        assert properties["labelNames"] == whole


def test_cyclonedx_reads(hard: Report) -> None:
    assert VALIDATOR.validate_str(render(hard, "cyclonedx").decode()) is None


def test_in_toto_reads(hard: Report) -> None:
    read_in_toto(render(hard, "in-toto"))


def test_json_reads_back(hard: Report) -> None:
    assert Report.model_validate_json(render(hard, "json")) == hard


def test_names_are_called_in_every_format_that_says_any(reports: dict[str, Report]) -> None:
    report = reports["named"]
    worst = report.worst[0]
    for report_format in ("text", "html", "junit", "sarif", "cyclonedx"):
        said = render(report, report_format).decode()  # type: ignore[arg-type]
        assert "hexagon nut" in said
        assert "label 1" not in said
    for report_format in ("text", "html", "sarif"):
        assert report.data.files[worst.index] in render(report, report_format).decode()  # type: ignore[arg-type]
    assert any("“bolt”" in reason for reason in report.reasons)


def test_a_report_of_before_there_were_names_says_numbers(reports: dict[str, Report]) -> None:
    old = json.loads(reports["named"].model_dump_json()) | {"schema_version": 3}
    del old["model"]["classes"]
    del old["data"]["files"]
    del old["figures"]["answers"]
    report = Report.model_validate(old)
    worst = report.worst[0]
    for report_format in ("text", "html", "sarif"):
        said = render(report, report_format).decode()  # type: ignore[arg-type]
        assert f"label {worst.label}" in said
    assert f"image {worst.index}" in render(report, "html").decode()


@given(st.text())
def test_any_name_is_readable_and_no_longer_than_its_place(name: str) -> None:
    short = shortened(name)
    assert len(short) <= LONGEST + 2  # what isolates it is not seen
    assert harmless(readable(name)) == readable(name)
    assert "\n" not in readable(name)


@given(st.lists(st.text(max_size=60), max_size=8))
def test_short_names_differ(names: list[str]) -> None:
    short = [name for name in Names.of(names).short if name is not None]
    assert len(set(short)) == len(short)


def test_a_name_that_is_another_one_with_its_number_differs_too() -> None:
    assert len(set(Names.of(["a (1)", "a", "a"]).short)) == 3


def test_a_file_whose_name_is_no_utf_8_is_reported(reports: dict[str, Report]) -> None:
    data = reports["few"].data
    report = reports["few"].model_copy(
        update={"data": type(data)(**data.model_dump() | {"files": ("a\udcff.png",) * 40})}
    )
    assert "a?.png" in render(report, "json").decode()
