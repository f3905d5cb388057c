"""A picture is turned, and two networks answer: by mouse, by keyboard, by finger."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.service.console.conftest import PHONE, STATIC, Console, Open, check_with_axe
from tests.service.processes import Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SEVEN = (STATIC / "sample-7.png").read_bytes()
ALL = "The same answer at all 72 angles tried"
FIRST = "The same answer at the 1 angle tried"


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_label_stands_still_and_the_plain_one_does_not(console: Console) -> None:
    console.drop(SEVEN, "seven.png", "image/png")
    console.wait_for("#picture-about", "seven.png: 28 x 28 pixels")
    console.press("around")
    assert console.text("#chosen .kept") == ALL
    assert console.page.locator(".bars0 .bar").count() == 72
    assert console.page.locator(".bars0 .flipped").count() == 0
    said = console.text("#other .kept")
    assert said.startswith("Another answer at ")
    assert console.page.locator(".bars1 .flipped").count() == int(said.split()[3])


def test_a_mutant_does_not_stand_still(console: Console) -> None:
    """With the networks the other way round, the page says so."""
    console.page.select_option("#chosen-model", "rotmnist-cnn")
    console.page.select_option("#other-model", "rotmnist-c4")
    console.wait_for("#chosen .kept", FIRST)
    console.press("around")
    assert console.text("#chosen .kept").startswith("Another answer at ")
    assert console.text("#other .kept") == ALL


def test_classes_of_one_name_are_not_one_class(open_console: Open, server: Server) -> None:
    """A card may give two of them one name; half a character is none of the name of any."""

    def rename(route: Any) -> None:
        answer = route.fetch()
        (prediction,) = answer.json()["predictions"]
        for each in (prediction, *prediction["top"]):
            each["label"] = "\U0001f529" * 3
        route.fulfill(response=answer, json={**answer.json(), "predictions": [prediction]})

    console = open_console(
        server.url, before=lambda page: page.route("**/models/rotmnist-cnn/classify?*", rename)
    )
    console.drop(SEVEN, "seven.png", "image/png")
    console.wait_for("#picture-about", "seven.png: 28 x 28 pixels")
    console.press("around")
    assert console.text("#other .kept").startswith("Another answer at ")
    assert console.page.locator(".bars1 .said").first.text_content() == "\U0001f529" * 3


NOTE = """
  const send = window.fetch;
  window.sent = [];
  window.fetch = async (path, options) => {
    if (String(path).includes("rotmnist-c4/classify")) {
      const bytes = new Uint8Array(await options.body.arrayBuffer());
      window.sent.push(btoa(String.fromCharCode(...bytes)));
    }
    return send(path, options);
  };
"""


@pytest.fixture
def noted(open_console: Open, server: Server) -> Console:
    """The page, which notes the pictures that it sends to the equivariant network."""
    return open_console(server.url, before=lambda page: page.add_init_script(NOTE))


def sent_when(console: Console, act: Callable[[], Any]) -> NDArray[np.uint8]:
    """Return the picture that is sent when somebody does something."""
    before = console.page.evaluate("window.sent.length")
    act()
    console.page.wait_for_function("before => window.sent.length > before", arg=before)
    return pixels(base64.b64decode(console.page.evaluate("window.sent.at(-1)")))


def test_quarter_turns_move_pixels_and_compute_nothing(noted: Console) -> None:
    random = np.random.default_rng(5).integers(0, 256, (19, 28, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(random).save(file, "PNG")
    sent_when(noted, lambda: noted.drop(file.getvalue(), "noise.png", "image/png"))
    for quarters in range(1, 5):
        turned = sent_when(noted, noted.page.locator("#left").click)
        np.testing.assert_array_equal(turned, np.rot90(random, quarters))
        noted.wait_for("#chosen .kept", f"{min(quarters + 1, 4)} angles")
    mirrored = sent_when(noted, noted.page.locator("#mirror").click)
    np.testing.assert_array_equal(mirrored, random[:, ::-1])


def test_angles_a_quarter_turn_apart_show_the_same_pixels(noted: Console) -> None:
    slider = noted.page.locator("#angle")
    first = sent_when(noted, lambda: slider.fill("30"))
    noted.wait_for("#chosen .kept", "2 angles")
    second = sent_when(noted, lambda: slider.fill("120"))
    np.testing.assert_array_equal(np.rot90(first), second)
    # Another implementation of the same interpolation, which rounds in another place.
    expected = Image.open(STATIC / "sample-7.png").rotate(30, Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(expected, int) - first[..., 0]).max() <= 2


class TestAnswers:
    """One request at a time for each network, and nothing old in the place of what is newer."""

    @pytest.fixture
    def held(self, console: Console) -> Iterator[list[Any]]:
        """Requests to classify, which wait until they are let go."""
        routes: list[Any] = []
        console.page.route("**/classify*", lambda route: routes.append(route))
        yield routes
        console.page.unroute("**/classify*")

    def test_angles_that_were_overtaken_are_not_asked(
        self, console: Console, held: list[Any]
    ) -> None:
        slider = console.page.locator("#angle")
        slider.focus()
        for _ in range(20):
            slider.press("ArrowLeft")
        wait_until(lambda: console.page.evaluate("0") or len(held) == 2)
        for route in held[:2]:
            route.continue_()
        wait_until(lambda: console.page.evaluate("0") or len(held) == 4)
        for route in held[2:4]:
            route.continue_()
        console.wait_for("#chosen .kept", "all 3 angles")
        console.wait_for("#other .kept", "all 3 angles")
        assert len(held) == 4

    def test_an_answer_to_another_picture_is_dropped(
        self, console: Console, held: list[Any]
    ) -> None:
        console.page.locator("[data-sample='sample-2.png']").click()
        wait_until(lambda: console.page.evaluate("0") or len(held) == 2)
        console.page.locator("[data-sample='sample-4.png']").click()
        wait_until(lambda: console.page.evaluate("0") or len(held) == 4)
        for route in held[2:]:
            route.continue_()
        console.wait_for("#chosen .label", "4")
        stale = {"model": {}, "predictions": [{"label": "old", "top": [{"label": "old"}]}]}
        for route in held[:2]:
            # The page gave these up; a browser that answers them all the same changes nothing.
            route.fulfill(status=200, content_type="application/json", body=json.dumps(stale))
        console.wait_for("#other .label", "4")
        assert console.text("#chosen .label") == "4"


def test_every_angle_there_is(console: Console) -> None:
    console.press("certify")
    assert "rotmnist-c4: " in console.text("#certificate")
    assert "which are all there are by nearest-neighbour rotation" in console.text("#certificate")
    drawn = console.page.locator(".certificate").evaluate_all(
        "groups => groups.map((each) => each.querySelectorAll('.flip').length)"
    )
    for place, changes in zip(console.text("#certificate").split("\n\n"), drawn, strict=False):
        assert f"on {changes} intervals" in place or "at every angle" in place


def test_what_is_known_of_the_model(console: Console) -> None:
    card = json.loads((Path("model_repository") / "rotmnist-c4/1/card.json").read_text())
    console.wait_for("#proved", "PROVED over C4: All outputs are the same")
    assert f"sha256:{card['sha256']}" in console.text("#proved")
    assert "100.0 % of 512 images kept their label" in console.text("#measured")
    test = card["metrics"]["test"]
    wrong = round(test["error_percent"] * test["count"] / 100)
    assert f"{wrong} of {test['count']} images got a wrong label" in console.text("#measured")
    assert "does not say that it is right" in console.text("#unclaimed")
    console.page.select_option("#chosen-model", "rotmnist-cnn")
    console.wait_for("#proved", "NOT PROVED over C4")
    with console.page.expect_navigation():
        console.page.locator("#proof-link").click()
    assert json.loads(console.text("body"))["outcome"] == "NOT PROVED"


def test_a_share_reads_as_none_or_as_all_only_if_it_is(console: Console) -> None:
    texts = console.page.evaluate(
        "import('/console/answers.js').then(({ share }) => [0, 0.00004, 0.5, 0.9996, 1].map(share))"
    )
    assert texts == ["0.0 %", "0.004 %", "50.0 %", "99.96 %", "100.0 %"]


def test_by_keyboard_alone(console: Console) -> None:
    keyboard = console.page.keyboard

    def tab_to(identity: str) -> None:
        for _ in range(40):
            keyboard.press("Tab")
            if console.page.evaluate("document.activeElement.id") == identity:
                return
        raise AssertionError(f"the keyboard does not reach {identity}")

    tab_to("angle")
    keyboard.press("PageUp")
    assert console.text("#degrees") == "90°"
    keyboard.press("ArrowRight")
    assert console.text("#degrees") == "89°"
    keyboard.press("Home")
    assert console.text("#degrees") == "0°"
    tab_to("around")
    keyboard.press("Enter")
    console.rest("around")
    assert console.text("#chosen .kept").startswith("The same answer at all 7")
    assert console.page.evaluate("document.activeElement.id") == "around"
    console.wait_for("#spoken", "0 degrees. rotmnist-c4: 7.")
    tab_to("draw")
    keyboard.press("Space")
    assert console.page.evaluate("document.getElementById('pad').open")
    keyboard.press("Escape")
    assert console.page.evaluate("document.activeElement.id") == "draw"


def test_by_finger_on_a_phone(open_console: Open, server: Server) -> None:
    console = open_console(server.url, **PHONE)
    assert console.page.evaluate("document.documentElement.scrollWidth") == 390
    box = console.page.locator("#stage").bounding_box()
    centre = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    finger = console.page.context.new_cdp_session(console.page)

    def stroke(*places: tuple[float, float]) -> None:
        """The finger rests before it is lifted: after a quicker stroke Chromium makes no click of
        the next tap, which only stops the fling that the stroke might have begun."""
        events = [("touchStart", places[0]), *(("touchMove", place) for place in places[1:])]
        began = time.time() - 1
        for step, (kind, (x, y)) in enumerate(events):
            touch(kind, began + step / 10, {"x": centre[0] + x, "y": centre[1] + y})
        touch("touchEnd", began + 1)

    def touch(kind: str, when: float, *places: dict[str, float]) -> None:
        event = {"type": kind, "touchPoints": places, "timestamp": when}
        finger.send("Input.dispatchTouchEvent", event)

    stroke((100, 0), (70, -70), (0, -100))
    assert console.text("#degrees") == "90°"
    assert console.page.evaluate("scrollY") == 0
    console.page.locator("#draw").tap()
    # Chromium makes a click of a tap after the tap was answered.
    console.page.locator("#paper").wait_for()
    paper = console.page.locator("#paper").bounding_box()
    centre = (paper["x"] + paper["width"] / 2, paper["y"] + paper["height"] / 2)
    stroke((0, -90), (0, 0), (0, 90))
    console.page.locator("#pad-use").tap()
    console.wait_for("#chosen .label", "1")
    assert console.text("#picture-about").startswith("Your drawing: 280 x 280 pixels")


class TestRefusals:
    """They stand where they happened, in the service's own sentence."""

    @pytest.mark.parametrize(
        ("content", "name", "sentence"),
        [
            (b"hello", "a.png", "The file is not an image of a known format"),
            (SEVEN[:-20], "cut.png", "The image is broken or cut off"),
        ],
    )
    def test_a_file(self, console: Console, content: bytes, name: str, sentence: str) -> None:
        console.drop(content, name, "image/png")
        console.wait_for("#picture-refusal", sentence)
        console.drop(SEVEN, "seven.png", "image/png")
        console.wait_for("#picture-about", "seven.png")
        assert not console.page.locator("#picture-refusal").is_visible()

    def test_a_file_that_only_the_service_reads(self, console: Console) -> None:
        file = io.BytesIO()
        Image.open(io.BytesIO(SEVEN)).save(file, "TIFF")
        console.drop(file.getvalue(), "seven.tif", "image/tiff")
        console.wait_for("#picture-refusal", "rotmnist-c4 reads it, and answers “7”.")

    def test_a_service_that_is_gone(self, console: Console) -> None:
        console.page.route("**/classify*", lambda route: route.abort())
        console.page.locator("#left").click()
        for place in ("#chosen", "#other"):
            console.wait_for(f"{place} .refusal", "The service does not answer")
            assert not console.text(f"{place} .label")
        console.page.unroute("**/classify*")
        console.page.locator("#left").click()
        console.page.wait_for_selector("#chosen .label:not(:empty)")
        assert not console.page.locator("#chosen .refusal").is_visible()

    @pytest.mark.parametrize(
        ("failed", "sentence"),
        [
            ([], "The repository holds no model yet"),
            ([{"version": 3, "reason": "It is cut off."}], "m/3: It is cut off."),
        ],
    )
    def test_no_model(
        self, open_console: Open, server: Server, failed: list[Any], sentence: str
    ) -> None:
        listed = [{"name": "m", "versions": [], "failed": failed}] if failed else []

        def empty(page: Any) -> None:
            page.route("**/models", lambda route: route.fulfill(json={"models": listed}))

        console = open_console(server.url, ready=False, before=empty)
        console.wait_for("#models-refusal", sentence)
        console.page.unroute("**/models")
        console.page.locator("#again").click()
        console.page.wait_for_selector("#chosen .label:not(:empty)")
        assert not console.page.locator("#models-refusal").is_visible()

    def test_one_model(self, open_console: Open, server: Server) -> None:
        def alone(page: Any) -> None:
            def answer(route: Any) -> None:
                listed = route.fetch().json()
                route.fulfill(json={"models": listed["models"][:1]})

            page.route("**/models", answer)

        console = open_console(server.url, ready=False, before=alone)
        console.page.wait_for_selector("#chosen .label:not(:empty)")
        assert console.page.locator("#other-model").input_value() == ""
        console.press("around")
        assert console.text("#chosen .kept") == ALL


def test_behind_a_proxy_that_strips_a_prefix(open_console: Open, server: Server) -> None:
    def strip(route: Any) -> None:
        route.continue_(url=route.request.url.replace("/a/b/", "/"))

    console = open_console(f"{server.url}/a/b", before=lambda page: page.route("**/a/b/**", strip))
    console.page.locator("#left").click()
    console.wait_for("#chosen .kept", "all 2 angles")


def test_axe_finds_nothing(console: Console) -> None:
    console.wait_for("#proved", "PROVED")
    for summary in console.page.locator("summary").all():
        summary.click()
    check_with_axe(console)
