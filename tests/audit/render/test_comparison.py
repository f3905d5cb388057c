"""A comparison's page and text say what it found, draw it to scale, and need nothing but itself."""

import re
from dataclasses import replace

import pytest

from audit.comparison import Comparison
from audit.render.comparison import COMPARISON_FORMATS, render_comparison
from audit.render.comparison.forest import draw_differences
from audit.render.comparison.rows import measured
from tests.audit.compared import compared, losing, still
from tests.audit.render.test_html import Page

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module", params=["PASS", "FAIL", "INCONCLUSIVE"])
def comparison(request: pytest.FixtureRequest) -> Comparison:
    lost = {"PASS": 0, "FAIL": 30, "INCONCLUSIVE": 5}[request.param]
    before = still(500, files=[f"parts/{n}.png" for n in range(500)])
    made = compared(before, losing(before, *range(0, 3 * lost, 3)))
    assert made.verdict == request.param
    return made


def page(comparison: Comparison) -> Page:
    return Page(render_comparison(comparison, "html").decode())


def test_the_verdict_and_its_reasons_come_first(comparison: Comparison) -> None:
    text = page(comparison).text
    top = text[: text.index("What is claimed")]
    assert comparison.verdict in top
    assert all(reason in top for reason in comparison.reasons)
    assert all(sentence in text for sentence in comparison.claim)


def test_every_figure_is_in_a_table(comparison: Comparison) -> None:
    text = page(comparison).text
    for _, paired in measured(comparison):
        cells = [paired.units, paired.baseline, paired.candidate, paired.lost, paired.gained]
        assert " ".join(map(str, cells)) in text
        assert f"{paired.interval.low:.2%} {paired.interval.high:.2%}" in text
    for each in comparison.classes:
        assert each.name in text


def test_what_got_worse_is_named_and_the_rest_is_at_hand(comparison: Comparison) -> None:
    text = page(comparison).text
    assert all(image.name in text for image in comparison.worse)
    if not comparison.worse:
        assert "No image is called wrong" in text


def test_the_page_needs_nothing_and_runs_nothing(comparison: Comparison) -> None:
    read = page(comparison)
    assert not {"script", "iframe", "object", "form"} & set(read.tags)
    assert all(address.startswith("data:") for address in read.addresses)


@pytest.mark.parametrize("form", COMPARISON_FORMATS)
def test_names_are_words_and_no_markup(form: str) -> None:
    before = still(12, files=[HOSTILE] * 12, classes=(HOSTILE, "b", "c"))
    written = render_comparison(compared(before, losing(before, 3)), form).decode()  # type: ignore[arg-type]
    if form == "html":
        assert HOSTILE not in written
        assert HOSTILE in Page(written).text
    else:
        assert HOSTILE in written


def test_json_is_read_back(comparison: Comparison) -> None:
    written = render_comparison(comparison, "json")
    assert Comparison.model_validate_json(written) == comparison


def test_the_text_has_the_figures_in_columns(comparison: Comparison) -> None:
    text = render_comparison(comparison, "text").decode()
    assert text.startswith(f"{comparison.verdict}  B, m version 1, against A, m version 1, on 500")
    lines = [line for line in text.splitlines() if "label kept when turned" in line]
    ends = {match.end() for line in lines for match in re.finditer(r" to ", line)}
    assert len(ends) == 1
    assert str(comparison.kept.lost) in lines[0]


def test_differences_are_drawn_to_scale() -> None:
    """A difference half as large lies half as far from nothing."""
    before = still(400)
    drawn = []
    for lost in (8, 16):
        made = compared(before, losing(before, *range(0, 3 * lost, 3)), margin=0.2)
        chart = draw_differences([("kept", made.kept)], 0.2)
        (zero,) = re.findall(r'<text x="([\d.]+)" y="[\d.]+"[^>]*>\+0.00%', chart)
        (place,) = re.findall(r'<circle cx="([\d.]+)"', chart)
        drawn.append(float(zero) - float(place))
    assert drawn[1] == pytest.approx(2 * drawn[0], abs=0.05)
    assert drawn[0] > 0


def test_what_is_far_beyond_the_margin_is_drawn_at_the_edge() -> None:
    before = still(300)
    made = compared(before, losing(before, *range(300)))
    chart = draw_differences([*measured(made)], 0.01)
    places = [float(x) for x in re.findall(r'x[12]="([\d.]+)"', chart)]
    assert 0 <= min(places) <= max(places) <= 720
    assert "<path" in chart


def test_the_names_of_both_models_are_at_the_top() -> None:
    first, second = (made.report() for made in (still(9), replace(still(9), sha256="3" * 64)))
    renamed = second.model_copy(
        update={"model": second.model.model_copy(update={"name": "next", "version": 2})}
    )
    from audit.comparison import compare

    read = page(compare(first, renamed))
    assert "Is next version 2 worse than m version 1?" in read.text
