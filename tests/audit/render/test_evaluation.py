"""An evaluation's text, table and page: they say the same, and names of people do no harm."""

import csv
import io
import unicodedata
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from artifact.audit_set import AuditSet
from artifact.identity import ModelIdentity
from audit import ModelUnderTest
from audit.evaluation import Asked, Evaluation, Unread, evaluate
from audit.names import harmless
from audit.render.evaluation import EVALUATION_FORMATS
from audit.render.evaluation.matrix import MOST_CLASSES, confusion_matrix
from audit.render.evaluation.text import printable

NASTY = "</script><b>&\"'\x01\x0b\ufffe ]]> ü {{ 7 * 7 }} --> \u202egnp\n"
NAMES = ("不良", "Näh te", "=cmd|' /C calc'!A0", NASTY, "ستة, ein sehr langer Name für eine Klasse")


def made(names: tuple[str, ...] = NAMES, count: int = 200, noise: float = 1.5) -> Evaluation:
    """Evaluate a classifier that is sometimes wrong on images of noise."""
    rng = np.random.default_rng(len(names))
    classes = len(names)
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)).astype(np.float32) * noise
    logits[np.arange(count), labels] += 3
    images = rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(count) % 256, np.arange(count) // 256
    under_test = ModelUnderTest(
        ModelIdentity(
            name=names[-1], version=1, sha256="ab" * 32, group="C4", precision="fp32", classes=names
        ),
        lambda batch: logits[batch[:, 0, 0, :2].astype(int) @ [1, 256]],
    )
    files = tuple(f"{names[label]}/{i}.png" for i, label in enumerate(labels))
    return evaluate(
        under_test,
        AuditSet(images, labels, files=files),
        Asked(at_least=0.5),
        source=NASTY,
        pictures=7,
        unread=[Unread(name=f"=x{NASTY}", expected=2, reason=f"It is {NASTY}.")],
        replay="orbitserve evaluate m/1 parts",
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return made()


# --- CSV ---------------------------------------------------------------------------------------


def read_back(evaluation: Evaluation) -> list[dict[str, str]]:
    text = EVALUATION_FORMATS["csv"].write(evaluation).decode("utf-8-sig")
    return [*csv.DictReader(io.StringIO(text, newline=""))]


def restored(text: str) -> str:
    """What docs/evaluate.md says: without the first apostrophe, where there is one."""
    return text.removeprefix("'")


def test_a_line_a_file_in_the_order_of_the_answers(evaluation: Evaluation) -> None:
    rows = read_back(evaluation)
    assert list(rows[0]) == ["file", "expected", "predicted", "probability", "correct"]
    name = evaluation.model.class_name
    for row, answer in zip(rows, evaluation.answers, strict=False):
        assert restored(row["file"]) == answer.name
        assert restored(row["expected"]) == name(answer.expected)
        assert restored(row["predicted"]) == name(answer.answered)
        assert float(row["probability"]) == answer.probability
        assert row["correct"] == str(int(answer.right))
    (left_out,) = rows[len(evaluation.answers) :]
    assert restored(left_out["file"]) == evaluation.unread[0].name
    assert [left_out[k] for k in ("predicted", "probability", "correct")] == ["", "", ""]


def test_no_text_is_a_formula(evaluation: Evaluation) -> None:
    for row in read_back(evaluation):
        for text in (row["file"], row["expected"], row["predicted"]):
            assert not text.lstrip().startswith(("=", "+", "-", "@", "|", "%"))


def test_every_text_is_quoted_and_lines_end_as_the_rfc_says(evaluation: Evaluation) -> None:
    data = EVALUATION_FORMATS["csv"].write(evaluation)
    assert data.startswith(b'\xef\xbb\xbf"file",')
    assert data.endswith(b"\r\n")
    assert f'"{evaluation.answers[0].name.split("/")[0]}'.encode()[:3] in data


# --- JSON and text -----------------------------------------------------------------------------


def test_json_is_the_whole_evaluation(evaluation: Evaluation) -> None:
    data = EVALUATION_FORMATS["json"].write(evaluation)
    assert Evaluation.model_validate_json(data) == evaluation


def test_the_text_says_verdict_accuracy_classes_and_wrong_images(evaluation: Evaluation) -> None:
    text = EVALUATION_FORMATS["text"].write(evaluation).decode()
    accuracy = evaluation.figures.accuracy
    assert text.startswith(f"{evaluation.verdict}  ")
    assert all(reason in text for reason in evaluation.reasons)
    assert f"{accuracy.rate:.2%}, {accuracy.count} of {accuracy.total}" in text
    for found in evaluation.figures.classes:
        (line,) = [
            line
            for line in text.splitlines()
            if line.endswith(f"  {printable(NAMES[found.label])}") and "labelled" not in line
        ]
        assert line.split()[0] == str(found.shown)
        assert f"{found.f1:.4f}" in line
    (first, *_) = [*evaluation.wrong()]
    assert printable(first[1].name) in text
    assert "It is </script>" in text


def test_nothing_in_the_text_moves_the_cursor(evaluation: Evaluation) -> None:
    text = EVALUATION_FORMATS["text"].write(evaluation).decode()
    assert all(character.isprintable() or character == "\n" for character in text)


def test_nothing_on_the_page_acts_instead_of_being_read(evaluation: Evaluation) -> None:
    """A file's name could turn the order of what follows it."""
    acting = {each for each in html(evaluation) if unicodedata.category(each) in ("Cc", "Cf", "Cn")}
    assert acting <= {"\n", "\u2068", "\u2069"}


def test_many_wrong_images_are_counted() -> None:
    evaluation = made(noise=4)
    wrong = len([*evaluation.wrong()])
    assert wrong > 20
    assert f"and {wrong - 20} more" in EVALUATION_FORMATS["text"].write(evaluation).decode()


# --- the page ----------------------------------------------------------------------------------


class Page(HTMLParser):
    """The words, tags and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def html(evaluation: Evaluation) -> str:
    return EVALUATION_FORMATS["html"].write(evaluation).decode()


def test_every_figure_is_on_the_page(evaluation: Evaluation) -> None:
    text = Page(html(evaluation)).text
    figures = evaluation.figures
    assert " ".join(evaluation.reasons[0].split()) in text
    for found in (figures.accuracy, *(top.rate for top in figures.top_k)):
        assert f"{found.rate:.2%}" in text
        assert f"{found.interval.low:.2%} to {found.interval.high:.2%}" in text
    for each in figures.classes:
        assert each.recall is not None
        assert f"{each.recall.interval.low:.2%} to {each.recall.interval.high:.2%}" in text
    calibration = figures.calibration
    for value in (calibration.expected_error, calibration.brier_score):
        assert f"{value:.4f}" in text
    assert calibration.binning in text
    for bin_ in calibration.bins:
        assert f"above {bin_.low:.2%}, to {bin_.high:.2%}" in text
    for sentence in evaluation.claim:
        assert sentence in text


def test_all_wrong_files_are_listed_and_some_are_shown(evaluation: Evaluation) -> None:
    page = Page(html(evaluation))
    wrong = [answer for _, answer in evaluation.wrong()]
    assert len(wrong) > 7
    for answer in wrong:
        assert " ".join(harmless(answer.name).split()) in page.text
    shown = [a for a in page.addresses if a.startswith("data:image/png")]
    assert shown == [f"data:image/png;base64,{each.png}" for each in evaluation.pictures]
    assert len(shown) == 7
    assert f"7 of {len(wrong)}, those that the model is surest of first" in page.text


def test_names_are_words_and_never_code(evaluation: Evaluation) -> None:
    page = Page(html(evaluation))
    assert not {"script", "b", "iframe", "form", "object"} & set(page.tags)
    assert all(address.startswith("data:") for address in page.addresses)
    assert "{{ 7 * 7 }}" in page.text


def test_a_model_that_is_always_right_has_a_page() -> None:
    evaluation = made(noise=0.01)
    assert evaluation.figures.accuracy.rate == 1
    assert Page(html(evaluation)).text.count("No image got a wrong label.") == 2


def test_a_matrix_has_each_pair_in_its_cell(evaluation: Evaluation) -> None:
    matrix = confusion_matrix(evaluation)
    assert matrix.names == NAMES
    assert matrix.left_out == 0
    for pair in evaluation.figures.confusion:
        middle = (
            (pair.answered + 0.5) * matrix.cell,
            (pair.expected + 0.5) * matrix.cell + 0.36 * 12,
        )
        x, y = (f"{value:.2f}".rstrip("0").rstrip(".") for value in middle)
        assert f'x="{x}" y="{y}"' in matrix.svg.replace("text_anchor", "")
        assert f">{pair.images}</text>" in matrix.svg


def test_of_many_classes_the_most_confused_are_drawn() -> None:
    evaluation = made(tuple(f"class {k}" for k in range(120)), count=600, noise=1)
    matrix = confusion_matrix(evaluation)
    assert len(matrix.labels) == MOST_CLASSES
    assert matrix.left_out == 70
    wrong = {c.label: c.shown + c.answered - 2 * c.right for c in evaluation.figures.classes}
    least = min(wrong[label] for label in matrix.labels)
    assert all(wrong[label] <= least for label in wrong if label not in matrix.labels)
    assert "70 more classes have no more wrong images" in Page(html(evaluation)).text


# --- it is what a browser shows ----------------------------------------------------------------


@cache
def page_of(classes: int) -> str:
    names = NAMES if classes == 5 else tuple(f"Klasse {k} 不良" for k in range(classes))
    return html(made(names, count=12 * classes, noise=3))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("classes", [2, 5, 50])
def test_a_phone_shows_all_of_it(browse: Callable[[str], Any], classes: int) -> None:
    shown = browse(page_of(classes))
    assert shown.width == 390
    assert shown.complaints == []
    assert shown.requests == []
    assert set(shown.ask("[...document.images].map(image => image.naturalWidth)")) <= {8}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("classes", [2, 5, 50])
def test_names_stand_beside_their_rows_and_columns(
    browse: Callable[[str], Any], classes: int
) -> None:
    """The names are text of the page and the cells are a picture: they have to meet."""
    shown = browse(page_of(classes))
    apart = shown.ask(
        """[...document.querySelectorAll('.matrix .rows > span')].map((name, k, all) => {
            const box = document.querySelector('.matrix svg').getBoundingClientRect();
            const own = name.getBoundingClientRect(), step = box.height / all.length;
            return Math.abs(own.top + own.height / 2 - (box.top + (k + .5) * step)) / step; })"""
    )
    across = shown.ask(
        """[...document.querySelectorAll('.matrix .columns > span')].map((name, k, all) => {
            const box = document.querySelector('.matrix svg').getBoundingClientRect();
            const own = name.getBoundingClientRect(), step = box.width / all.length;
            return Math.abs(own.left + own.width / 2 - (box.left + (k + .5) * step)) / step; })"""
    )
    assert len(apart) == len(across) == classes
    assert max(apart) < 0.1
    assert max(across) < 0.1
    numbers = shown.ask(
        """[...document.querySelectorAll('.matrix svg g')].map(cell => {
            const [square, number] = ['rect', 'text'].map(
                kind => cell.querySelector(kind).getBoundingClientRect());
            return number.width <= square.width && number.height <= square.height * 1.1; })"""
    )
    assert numbers
    assert all(numbers)
