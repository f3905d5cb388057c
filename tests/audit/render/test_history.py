"""A model's history: every audit is on the page, at its place, with its verdict by its shape."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifact.values import Interval, Verdict
from audit import Report
from audit.history import History, HistoryPoint
from audit.render.history import Addresses, render_history
from audit.render.history.curves import draw_agreement, draw_deviation
from tests.audit.render.test_html import Page

ADDRESSES = Addresses(
    report=lambda digest: f"/audits/{digest}", comparison=lambda a, b: f"/compare?a={a}&b={b}"
)
SHAPES = {"PASS": "circle", "FAIL": "rect", "INCONCLUSIVE": "path"}


def point(number: int, verdict: Verdict = "PASS", **given: object) -> HistoryPoint:
    made = HistoryPoint(
        number=number,
        stored=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
        report=f"{number:064x}",
        version=1,
        group="C4",
        verdict=verdict,
        data="a" * 64,
        units=512,
        agreement=0.995,
        interval=Interval(0.98, 0.999),
        asked=0.99,
        deviation=1e-6,
        tolerance=1e-4,
        accuracy=None,
    )
    return made.model_copy(update=given)


def history(*points: HistoryPoint, faults: tuple[str, ...] = ()) -> History:
    return History(model="m", points=points, faults=faults)


def test_nothing_on_the_page_acts_instead_of_being_read() -> None:
    shown = history(point(1), faults=("\u202egnp",)).model_copy(update={"model": "m\x01\u202e"})
    text = render_history(shown, ADDRESSES).decode()
    assert not {"\x01", "\u202e"} & {*text}


def page(shown: History) -> Page:
    return Page(render_history(shown, ADDRESSES).decode())


@given(
    st.lists(
        st.tuples(st.sampled_from([*SHAPES]), st.floats(0, 1), st.sampled_from((0.0, 3e-7, 0.5))),
        min_size=1,
        max_size=60,
    )
)
@settings(deadline=None, max_examples=30)
def test_each_audit_has_the_shape_of_its_verdict(
    audits: list[tuple[Verdict, float, float]],
) -> None:
    points = [
        point(n, verdict, agreement=part, interval=Interval(part / 2, part), deviation=moved)
        for n, (verdict, part, moved) in enumerate(audits, start=1)
    ]
    for chart in (draw_agreement(points), draw_deviation(points)):
        for verdict, shape in SHAPES.items():
            drawn = re.findall(rf'<{shape} [^>]*class="point {verdict}', chart)
            assert len(drawn) == sum(each.verdict == verdict for each in points)
        view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart)
        assert view is not None
        for axis, most in zip("xy", map(float, view.groups()), strict=True):
            places = [float(v) for v in re.findall(rf' c?{axis}[12]?="(-?[\d.]+)"', chart)]
            assert 0 <= min(places) <= max(places) <= most


def test_more_agreement_is_higher_and_later_is_to_the_right() -> None:
    points = [point(1, agreement=0.985), point(2, agreement=0.99), point(3, agreement=0.995)]
    chart = draw_agreement(points)
    places = [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)
    ]
    (x1, y1), (x2, y2), (x3, y3) = places
    assert x1 < x2 < x3
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.05)
    assert y1 > y2


def test_reports_and_comparisons_on_the_same_images_are_linked() -> None:
    shown = page(history(point(1), point(2), point(3, data="b" * 64), point(4, data="b" * 64)))
    links = [address for address in shown.addresses if not address.startswith("data:")]
    compare = [f"/compare?a={a:064x}&b={b:064x}" for a, b in ((3, 4), (1, 2))]
    assert [each for each in links if "compare" in each] == compare
    assert [each for each in links if "compare" not in each] == [
        f"/audits/{n:064x}" for n in (4, 3, 2, 1)
    ]
    assert "2 different sets of images" in shown.text


def test_what_is_wrong_with_the_ledger_comes_first() -> None:
    text = page(history(point(1), faults=("Entry 2 is missing.",))).text
    assert text.index("Entry 2 is missing.") < text.index("From audit to audit")


def test_a_model_without_audits_has_a_page() -> None:
    assert "no audits of this model" in page(history()).text


def test_figures_are_those_of_the_report(report: Report) -> None:
    made = HistoryPoint.of(7, datetime(2026, 1, 1, tzinfo=UTC), "c" * 64, report)
    assert (made.verdict, made.units) == (report.verdict, report.figures.images)
    assert made.interval == report.figures.agreement_interval
    assert f"{made.deviation:.3g}" in page(history(made)).text
