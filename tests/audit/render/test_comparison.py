"""A comparison's page and text say what it found, draw it to scale, and need nothing but itself."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pytest

from audit.comparison import Comparison
from audit.comparison.claims import otherwise_fitted
from audit.names import LONGEST, readable
from audit.render import LANGUAGES
from audit.render.comparison import COMPARISON_FORMATS, ComparisonFormat
from audit.render.comparison.forest import draw_differences
from audit.render.comparison.rows import measured
from audit.render.language import words_of
from tests.audit.compared import Made, compared, losing, still
from tests.audit.render.conftest import HARD_NAMES
from tests.audit.render.test_html import Page
from tests.audit.render.test_language import ENGLISH as ENGLISH_WORDS
from tests.audit.render.test_language import NUMBER

HOSTILE = "<script>alert(1)</script>"
GERMAN = words_of("de")
ENGLISH = words_of("en")


@pytest.fixture(scope="module", params=["PASS", "FAIL", "INCONCLUSIVE"])
def comparison(request: pytest.FixtureRequest) -> Comparison:
    lost = {"PASS": 0, "FAIL": 30, "INCONCLUSIVE": 5}[request.param]
    before = still(500, files=[f"parts/{n}.png" for n in range(500)])
    made = compared(before, losing(before, *range(0, 3 * lost, 3)))
    assert made.verdict == request.param
    return made


def page(comparison: Comparison) -> Page:
    return Page(COMPARISON_FORMATS["html"].write(comparison).decode())


def test_the_verdict_and_its_reasons_come_first(comparison: Comparison) -> None:
    text = page(comparison).text
    top = text[: text.index("What is claimed")]
    assert comparison.verdict in top
    assert all(reason in top for reason in comparison.reasons)
    assert all(sentence in text for sentence in comparison.claim)


def test_every_figure_is_in_a_table(comparison: Comparison) -> None:
    text = page(comparison).text
    for _, paired in measured(comparison, ENGLISH):
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


@pytest.mark.parametrize("report_format", COMPARISON_FORMATS)
def test_names_are_words_and_no_markup(report_format: str) -> None:
    before = still(12, files=[HOSTILE] * 12, classes=(HOSTILE, "b", "c"))
    written = COMPARISON_FORMATS[report_format].write(compared(before, losing(before, 3))).decode()  # type: ignore[arg-type]
    if report_format == "html":
        assert HOSTILE not in written
        assert HOSTILE in Page(written).text
    else:
        assert HOSTILE in written


def test_json_is_read_back(comparison: Comparison) -> None:
    written = COMPARISON_FORMATS["json"].write(comparison)
    assert Comparison.model_validate_json(written) == comparison


def test_the_text_has_the_figures_in_columns(comparison: Comparison) -> None:
    text = COMPARISON_FORMATS["text"].write(comparison).decode()
    assert text.startswith(f"{comparison.verdict}  B, m version 1, against A, m version 1, on 500")
    lines = [line for line in text.splitlines() if "label kept when rotated" in line]
    ends = {match.end() for line in lines for match in re.finditer(r" to ", line)}
    assert len(ends) == 1
    assert str(comparison.kept.lost) in lines[0]


def test_differences_are_drawn_to_scale() -> None:
    """A difference half as large lies half as far from nothing."""
    before = still(400)
    drawn = []
    for lost in (8, 16):
        made = compared(before, losing(before, *range(0, 3 * lost, 3)), margin=0.2)
        chart = draw_differences([("kept", made.kept)], 0.2, ENGLISH)
        (zero,) = re.findall(r'<text x="([\d.]+)" y="[\d.]+"[^>]*>\+0.00%', chart)
        (place,) = re.findall(r'<circle cx="([\d.]+)"', chart)
        drawn.append(float(zero) - float(place))
    assert drawn[1] == pytest.approx(2 * drawn[0], abs=0.05)
    assert drawn[0] > 0


def test_what_is_far_beyond_the_margin_is_drawn_at_the_edge() -> None:
    before = still(300)
    made = compared(before, losing(before, *range(300)))
    chart = draw_differences([*measured(made, ENGLISH)], 0.01, ENGLISH)
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


# --- names --------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def hardly_named(start: int) -> Comparison:
    """One where images of each class are called wrong, and lose their labels."""
    names = tuple(dict.fromkeys(HARD_NAMES[start : start + 5]))
    return named(names)


@lru_cache(maxsize=8)
def named(names: tuple[str, ...]) -> Comparison:
    count = len(names)
    files = [f"{names[n % count]}{n}" for n in range(30 * count)]
    labels = [n % count for n in range(30 * count)]
    before = still(30 * count, labels=labels, expected=labels, files=files, classes=names)
    after = losing(before, *range(0, 30 * count, 2))
    wrong = [(label + 1) % count if n % 3 == 0 else label for n, label in enumerate(labels)]
    return compared(before, replace(after, labels=wrong))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, len(HARD_NAMES), 5))
def test_a_page_has_the_same_elements_whatever_the_names(start: int) -> None:
    hard = hardly_named(start)
    easy = named(tuple("abcde"[: len(hard.baseline.model.classes)]))
    assert hard.worse
    assert page(hard).tags == page(easy).tags


@pytest.mark.parametrize("start", range(0, len(HARD_NAMES), 5))
def test_names_are_short_in_their_places_and_whole_in_a_list(start: int) -> None:
    comparison = hardly_named(start)
    read = page(comparison)
    before, _, lists = read.text.partition("What was compared")
    for name in (*comparison.baseline.model.classes, *(each.name for each in comparison.worse)):
        assert " ".join(readable(name).split()) in lists
        assert len(name) <= LONGEST or readable(name) not in before
    for reason in comparison.reasons:
        assert not any(name in reason for name in HARD_NAMES if len(name) > LONGEST)


@pytest.mark.parametrize("start", range(0, len(HARD_NAMES), 5))
def test_text_acts_on_no_terminal(start: int) -> None:
    for language in LANGUAGES:
        made = hardly_named(start)
        for character in COMPARISON_FORMATS["text"].write(made, language).decode():
            acts = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
            assert not acts or character in "\n\u2068\u2069\u200d"


def test_classes_without_names_are_numbers_in_every_language() -> None:
    before = still(90, classes=())
    made = compared(before, losing(before, *range(0, 90, 3)))
    assert "label 0" in COMPARISON_FORMATS["text"].write(made).decode()
    for report_format in ("text", "html"):
        said = COMPARISON_FORMATS[report_format].write(made, "de").decode()  # type: ignore[arg-type]
        assert "Klasse 0" in said
        assert "label 0" not in said


# --- German -------------------------------------------------------------------------------------


def every_sentence() -> Iterator[str]:
    """What comparisons say, of every verdict, with classes and without, in any order."""
    basis = still(600)
    unlabelled = replace(basis, expected=None)
    pairs: list[tuple[Made, Made, dict[str, object]]] = [
        (basis, losing(basis, *range(0, 30, 3)), {}),
        (unlabelled, losing(unlabelled, *range(0, 400, 3)), {}),
        (basis, losing(basis, *range(0, 90, 3)), {"margin": 0.2, "class_margin": None}),
        (still(30), still(30), {}),
        (basis, basis.taken(range(599, -1, -1)), {}),
        (basis, basis.taken(range(300)), {}),
        (replace(basis, units=[0, 0, *range(598)]), basis, {}),
        (basis, replace(basis, deviation=[0.4] * 600, sha256="2" * 64), {}),
        (basis, replace(basis, labels=[0] * 600, sha256="2" * 64), {}),
    ]
    for before, after, asked in pairs:
        made = compared(before, after, **asked)
        yield from (*made.reasons, *made.claim)
    yield otherwise_fitted("m/1", "other/2")


@pytest.mark.slow
def test_every_sentence_of_a_comparison_is_translated() -> None:
    said = {*every_sentence()}
    assert len(said) > 25
    for sentence in said:
        assert GERMAN.knows(sentence), sentence
        assert sorted(NUMBER.findall(GERMAN.sentence(sentence))) == sorted(NUMBER.findall(sentence))


@pytest.mark.parametrize("report_format", ["text", "html"])
def test_a_german_comparison_says_what_the_english_one_says(
    comparison: Comparison, report_format: ComparisonFormat
) -> None:
    english = COMPARISON_FORMATS[report_format].write(comparison).decode()
    german = COMPARISON_FORMATS[report_format].write(comparison, "de").decode()
    if report_format == "html":
        assert '<html lang="de">' in german
        english, german = Page(english).text, Page(german).text
    left = [
        line
        for line in re.split(r"[\n:.;]", re.sub(r"--[a-z-]+", "", german))
        if ENGLISH_WORDS.search(line)
    ]
    assert left == [], left[:5]
    assert sorted(NUMBER.findall(german)) == sorted(NUMBER.findall(english))
    for word in ("PASS", "FAIL", "INCONCLUSIVE"):
        assert german.count(word) == english.count(word)
    assert GERMAN(comparison.verdict) in german
    for image in comparison.worse:
        assert german.count(image.name) == english.count(image.name)


def test_json_has_one_language(comparison: Comparison) -> None:
    assert COMPARISON_FORMATS["json"].write(comparison, "de") == COMPARISON_FORMATS["json"].write(
        comparison
    )
