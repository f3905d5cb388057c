"""German says what English says: every sentence, the same figures, names and verdicts."""

import re
from string import Formatter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact.values import Interval
from audit import Report, SelfTest
from audit.proved import ProofSummary
from audit.render import LANGUAGES, Format, render
from audit.render.checks import checks
from audit.render.language import words_of
from audit.render.language.catalogue import load_catalogue, parse_catalogue
from audit.render.language.sentences import SENTENCE
from tests.audit.render.messages import missing, needless
from tests.audit.render.test_html import Page
from tests.audit.test_verdict import judged

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
ENGLISH = re.compile(
    r"\b(the|of|and|are|is|were|which|that|this|these|with|images|turned|labels?|by|to)\b"
)
TRANSLATED = [language for language in LANGUAGES if language != "en"]


@pytest.fixture(params=TRANSLATED)
def language(request: pytest.FixtureRequest) -> Any:
    return request.param


def gaps(message: str) -> set[tuple[str, str]]:
    return {(name, spec or "") for _, name, spec, _ in Formatter().parse(message) if name}


def sentences(report: Report) -> set[str]:
    told = {*report.reasons, *report.claim}
    for check in checks(report):
        told |= {check.name, *check.reasons, *check.claim}
    if report.exhaustive_angles is not None:
        told |= {*report.exhaustive_angles.claim}
    return told


def test_no_message_that_the_code_writes_is_missing(language: Any) -> None:
    assert missing(load_catalogue(language)) == (set(), set())


def test_no_message_is_kept_for_nothing(language: Any) -> None:
    assert needless(load_catalogue(language)) == set()


def test_a_message_that_is_missing_is_noticed(language: Any) -> None:
    catalogue = dict(load_catalogue(language))
    for key in [k for k in catalogue if k[1].startswith(("All {part_which} get", "keep their"))]:
        del catalogue[key]
    lacked, unread = missing(catalogue)
    assert "keep their label" in lacked
    assert any(text.startswith("All {} get") for text in unread)


def test_a_translation_has_the_gaps_of_its_message(language: Any) -> None:
    for (_, message), translation in load_catalogue(language).items():
        assert translation.strip()
        assert gaps(message) == gaps(translation)


def test_every_sentence_of_a_report_is_translated(language: Any, report: Report) -> None:
    words = words_of(language)
    for sentence in sentences(report):
        assert words.knows(sentence), sentence
        said = words.sentence(sentence)
        assert said != sentence
        assert sorted(NUMBER.findall(said)) == sorted(NUMBER.findall(sentence))


@pytest.mark.parametrize(
    "measured",
    [
        {},
        {"agreeing": 511},
        {"agreeing": 400},
        {"agreeing": 99, "images": 100},
        {"agreeing": 1, "images": 1},
        {"deviation": 0.1},
        {"deviation": 0.1, "floor": 0.2},
        {"chance": 1},
        {"chance": 0.999},
        {"self_test": SelfTest(images=32, mutant="FAIL", known_invariant="FAIL")},
        {"self_test": SelfTest(images=32, mutant="PASS", known_invariant="PASS")},
        {
            "self_test": SelfTest(
                images=9, mutation="told up from down", mutant="PASS", known_invariant="PASS"
            )
        },
    ],
)
def test_every_reason_of_a_verdict_is_translated(language: Any, measured: dict[str, Any]) -> None:
    words = words_of(language)
    for reason in judged(**measured).reasons:
        assert words.knows(reason), reason
        assert sorted(NUMBER.findall(words.sentence(reason))) == sorted(NUMBER.findall(reason))


@pytest.mark.slow
@pytest.mark.parametrize("report_format", ["text", "html"])
def test_no_english_is_left(language: Any, report_format: Any, reports: dict[str, Report]) -> None:
    for name, report in reports.items():
        if name == "nasty":
            continue
        said = render(
            report.model_copy(update={"replay": None}), report_format, language=language
        ).decode()
        if report_format == "html":
            said = page_text(said)
        said = re.sub(r"--[a-z-]+", "", said)  # options of the command
        left = [line for line in re.split(r"[\n:.;]", said) if ENGLISH.search(line)]
        assert left == [], left[:5]
        assert ENGLISH.search(render(report, report_format).decode())


def page_text(html: str) -> str:
    return Page(html).text


@pytest.mark.parametrize("report_format", ["text", "html"])
def test_figures_names_and_verdicts_are_the_same(
    language: Any, report_format: Any, report: Report
) -> None:
    english = render(report, report_format).decode()
    said = render(report, report_format, language=language).decode()
    if report_format == "html":
        english, said = page_text(english), page_text(said)
    assert sorted(NUMBER.findall(said)) == sorted(NUMBER.findall(english))
    for word in ("PASS", "FAIL", "INCONCLUSIVE"):
        assert said.count(word) == english.count(word)
    assert report.verdict in said
    assert words_of(language)(report.verdict) in said
    for file in report.data.files[:3]:
        assert said.count(file) == english.count(file)


def test_formats_that_programs_read_have_one_language(language: Any, report: Report) -> None:
    for report_format in ("json", "junit", "sarif", "in-toto", "cyclonedx"):
        assert render(report, report_format, language=language) == render(report, report_format)  # type: ignore[arg-type]


def test_the_page_says_its_language(language: Any, report: Report) -> None:
    assert f'<html lang="{language}">' in render(report, "html", language=language).decode()


def test_what_has_no_translation_says_that_it_is_english(language: Any) -> None:
    words = words_of(language)
    said = words.sentence("Nobody has said this before.")
    assert "Nobody has said this before." in said
    assert said == words("(in English) {text}", text="Nobody has said this before.")


@pytest.mark.slow
@given(st.text(min_size=1, max_size=60))
def test_a_name_stays_what_it_is(name: str) -> None:
    sentence = (
        f"Some classes lose their labels: of their images, these keep it: “{name}” 3/80; 80.00% is "
        "asked of each class."
    )
    said = words_of("de").sentence(sentence)
    assert f"“{name}” 3/80" in said or re.search(r"(^|, )label \d", name)


def test_a_proof_is_said(language: Any) -> None:
    words = words_of(language)
    nothing = ProofSummary(outcome=None, reasons=("The node 'x' (Conv) rounds.",))
    proved = ProofSummary(outcome="PROVED", subgroup="D4", reasons=())
    refused = ProofSummary(outcome="NOT PROVED", subgroup="C4", reasons=("The node 'x' rounds.",))
    for summary in (nothing, proved, refused):
        assert words.knows(summary.sentence())
    assert "The node 'x' rounds." in words.sentence(refused.sentence())
    assert "NOT PROVED" in words.sentence(refused.sentence())


def test_a_catalogue_is_read_with_contexts_and_lines_that_go_on() -> None:
    lines = (
        *('msgid ""', 'msgstr ""', '"Language: xx\\n"', ""),
        *('msgctxt "a"', 'msgid "b"', 'msgstr ""', '"c "', '"\\"d\\""', ""),
    )
    text = "\n".join(lines)
    assert parse_catalogue(text) == {("a", "b"): 'c "d"'}


@pytest.mark.slow
def test_every_sentence_can_be_read_back_alone(language: Any) -> None:
    """No message is hidden behind another one that fits its sentences too."""
    words = words_of(language)
    for context, message in load_catalogue(language):
        if context == SENTENCE and "{part" not in message and "{sentence" not in message:
            filled = message.format(**{name: "7" for name, _ in gaps(message)})
            expected = load_catalogue(language)[context, message]
            assert words.sentence(filled) == expected.format(
                **{name: "7" for name, _ in gaps(message)}
            )


@pytest.mark.parametrize("report_format", ["text", "html"])
def test_nearly_all_images_do_not_read_as_all(
    report_format: Format, reports: dict[str, Report]
) -> None:
    interval = Interval(low=0.999963, high=0.999999)
    report = reports["few"]
    figures = report.figures.model_copy(update={"agreement_interval": interval})
    report = report.model_copy(update={"figures": figures})
    for language, between in (("en", "to"), ("de", "bis")):
        words = render(report, report_format, language=language).decode().split()
        assert f"99.996% {between} 100.00%" in " ".join(words)
