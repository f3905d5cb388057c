"""What is offered is rotated, compared and counted; whatever goes wrong, no request hears of it.

The graph is a fake that the test writes; the engine is a list of work that the test runs.
"""

import hashlib
import hmac
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import structlog
from PIL import Image

from artifact.card import load_card
from imaging import grid_symmetries
from service.engine import IdleWork, Inference
from service.shadow import Shadow
from service.shadow import recorder as recorder_module
from service.shadow.recorder import Recorder
from service.shadow.tally import compare

SALT = b"salt of the tests"


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as found:
        yield found


@pytest.fixture
def card(repository: Path) -> Any:
    """fp32, C4 by construction, and its audits try C4."""
    return load_card(repository / "turning" / "10" / "card.json")


class Engine:
    """Keeps work until it is told to run it, over a graph from images to logits."""

    def __init__(self, graph: Callable[[Any], Any]) -> None:
        self.graph, self.work, self.seen = graph, list[IdleWork](), list[Any]()
        self.room = True

    def has_idle_room(self) -> bool:
        return self.room

    def when_idle(self, work: IdleWork) -> None:
        self.work.append(work)

    def run(self) -> None:
        while self.work:
            work = self.work.pop(0)
            images = work.images()
            self.seen.append(images)
            logits = self.graph(images)
            work.ran(Inference(logits, logits))


def shadow_of(card: Any, engine: Engine, folder: Path | None = None, **options: Any) -> Shadow:
    options = {"share": 1.0, "random": Random(5)} | options
    return Shadow(card, spare=engine, recorder=Recorder(SALT, folder), **options)


def offer(shadow: Shadow, engine: Engine, images: Any) -> None:
    logits = engine.graph(images)
    shadow.offer(images, Inference(logits, logits))


def corner(images: Any) -> Any:
    """The first pixel against the last: whatever turns an image by half changes its label."""
    return images[:, 0, [0, -1], [0, -1]].astype(np.float32)


def brightness(images: Any) -> Any:
    """Logits that are the same, in every bit, for a rotated image."""
    total = images.sum(axis=(1, 2, 3), dtype=np.int64)
    return np.stack([total, 2 * total], axis=1).astype(np.float32)


def asymmetric(count: int = 1) -> Any:
    images = np.zeros((count, 1, 8, 8), np.uint8)
    images[:, 0, 0, 0] = 200
    images[:, 0, -1, -1] = 100
    images[:, 0, 3, 2] = np.arange(count) % 256
    return images


@pytest.mark.slow
@pytest.mark.usefixtures("lines")
def test_every_image_is_turned_by_every_element_but_the_identity_alike(card: Any) -> None:
    engine = Engine(corner)
    shadow = shadow_of(card, engine)
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8), np.uint8)
    for _ in range(3000):
        offer(shadow, engine, image)
    engine.run()
    rotated = {g(image).tobytes(): g.name for g in grid_symmetries("C4")}
    names = Counter(rotated[seen.tobytes()] for seen in engine.seen)
    assert set(names) == {"r90", "r180", "r270"}
    assert all(abs(count - 1000) < 5 * 26 for count in names.values())
    assert all(seen.shape == (1, 1, 8, 8) and seen.flags.c_contiguous for seen in engine.seen)


@pytest.mark.usefixtures("lines")
def test_mirrors_are_tried_where_audits_try_them(card: Any) -> None:
    figures = card.audit.model_copy(update={"group": "D4"})
    engine = Engine(corner)
    shadow = shadow_of(card.model_copy(update={"audit": figures}), engine)
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8), np.uint8)
    for _ in range(300):
        offer(shadow, engine, image)
    engine.run()
    due = {g(image).tobytes() for g in grid_symmetries("D4")[1:]}
    assert {seen.tobytes() for seen in engine.seen} == due


@pytest.mark.usefixtures("lines")
def test_what_changes_is_found_and_what_does_not_is_not(card: Any) -> None:
    engine = Engine(corner)
    shadow = shadow_of(card, engine)
    offer(shadow, engine, asymmetric(60))
    engine.run()
    tally = shadow.tally
    half = sum(seen[0, 0, 0, 0] == 100 for seen in engine.seen)
    quarter = 60 - half  # both corners are black then, and the label of the upright image is 0
    assert 0 < half < 60
    assert (tally.trials, tally.disagreements, tally.deviations) == (60, half, half + quarter)
    assert tally.largest_deviation == 1.0
    assert tally.last_trial > 1.7e9
    assert tally.agreement().low < 1 - half / 60 < tally.agreement().high

    engine = Engine(brightness)
    shadow = shadow_of(card, engine)
    offer(shadow, engine, asymmetric(60))
    engine.run()
    tally = shadow.tally
    assert (tally.trials, tally.disagreements, tally.deviations) == (60, 0, 0)
    assert tally.largest_deviation == 0
    assert tally.agreement().high == 1


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(("precision", "deviations"), [("fp32", 0), ("int8", 20), ("integer", 20)])
def test_networks_of_integers_may_not_move_at_all(
    card: Any, precision: str, deviations: int
) -> None:
    """A change of a hundred-thousandth is rounding in float32, and a defect in integers."""

    def moved(images: Any) -> Any:
        upright = images[:, :, 0, 0] == 200
        return np.concatenate([np.ones((len(images), 1)), 1e-5 * upright], axis=1, dtype=np.float32)

    engine = Engine(moved)
    shadow = shadow_of(card.model_copy(update={"precision": precision}), engine)
    offer(shadow, engine, asymmetric(20))
    engine.run()
    shadow._recorder.wait()
    assert shadow.tally.deviations == deviations
    assert shadow.tally.disagreements == 0
    assert shadow.tally.largest_deviation == pytest.approx(1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_a_deviation(value: float) -> None:
    finite, broken = np.array([1, 2], np.float32), np.array([1, value], np.float32)
    for pair in ((finite, broken), (broken, finite), (broken, broken)):
        assert compare(*pair).deviation == np.inf


def test_a_blank_answer_has_no_deviation() -> None:
    zero = np.zeros(3, np.float32)
    assert compare(zero, zero).deviation == 0
    found = compare(np.array([1, 5, 3], np.float32), np.array([4, 1, 2], np.float32))
    assert (found.labels, found.rotated_labels, found.margin) == ((1,), (0,), 2)
    assert found.deviation == 4 / 5


@pytest.mark.usefixtures("lines")
def test_the_interval_is_that_of_the_sequence_however_often_one_looks(card: Any) -> None:
    engine = Engine(corner)
    shadow = shadow_of(card, engine)
    for _ in range(30):
        offer(shadow, engine, asymmetric(10))
        engine.run()
        interval = shadow.tally.agreement()
        assert shadow.tally.agreement() == interval
        assert 0 <= interval.low < interval.high <= 1
    rate = 1 - shadow.tally.disagreements / 300
    assert interval.low < rate < interval.high
    assert interval.high - interval.low < 0.2


def test_images_and_answers_are_those_of_the_moment_they_were_offered(card: Any) -> None:
    """The buffers of a request may be used again before the engine has a moment."""
    engine = Engine(brightness)
    shadow = shadow_of(card, engine)
    images = asymmetric(5)
    logits = brightness(images)
    shadow.offer(images, Inference(logits, logits))
    images[:] = 255
    logits[:] = 0
    engine.run()
    assert shadow.tally.deviations == 0
    assert all(seen.base is None or seen.base.nbytes == 64 for seen in engine.seen)


def test_only_the_share_is_turned(card: Any) -> None:
    engine = Engine(brightness)
    shadow = shadow_of(card, engine, share=0.2)
    for _ in range(500):
        offer(shadow, engine, asymmetric(10))
    assert abs(len(engine.work) - 1000) < 5 * 28.3


def test_an_offer_raises_nothing_and_what_fails_is_counted(card: Any, lines: list[Any]) -> None:
    class Broken(Engine):
        def when_idle(self, work: IdleWork) -> None:
            raise RuntimeError("no engine")

    shadow = shadow_of(card, Broken(brightness))
    images = asymmetric(2)
    for _ in range(3):
        shadow.offer(images, Inference(brightness(images), brightness(images)))
    assert shadow.tally.dropped["failed"] == 3
    assert [line["event"] for line in lines] == ["shadow audit failed"]  # one line in ten seconds


def test_what_has_no_room_is_counted_without_more_ado(card: Any) -> None:
    engine = Engine(brightness)
    shadow = shadow_of(card, engine)
    engine.room = False
    offer(shadow, engine, asymmetric(6))
    assert (engine.work, shadow.tally.dropped["full"]) == ([], 6)
    engine.room = True
    offer(shadow, engine, asymmetric(1))
    assert len(engine.work) == 1


def test_drops_are_counted_by_reason(card: Any) -> None:
    engine = Engine(brightness)
    shadow = shadow_of(card, engine)
    offer(shadow, engine, asymmetric(6))
    for work, reason in zip(engine.work, ["full", "full", "expired", "down"], strict=False):
        work.dropped(reason)  # type: ignore[arg-type]
    assert shadow.tally.dropped == {"full": 2, "expired": 1, "failed": 0, "down": 1}


# What is kept of an image.


def test_a_disagreement_is_logged_with_a_salted_digest_and_nothing_is_kept(
    card: Any, lines: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = Engine(corner)
    shadow = shadow_of(card, engine, random=Random(1))
    image = asymmetric()
    while not shadow.tally.disagreements:
        offer(shadow, engine, image)
        engine.run()
        shadow._recorder.wait()
        lines_so_far = list(lines)
        shadow._recorder._silent_until = 0.0
    line = lines_so_far[-1]
    assert line["event"] == "shadow audit disagrees"
    assert line["log_level"] == "warning"
    assert line["image"] == hmac.new(SALT, image[0].tobytes(), hashlib.sha256).hexdigest()
    assert line["image"] != hashlib.sha256(image[0].tobytes()).hexdigest()
    assert (line["model"], line["version"], line["element"]) == ("turning", 10, "r180")
    assert (line["label"], line["rotated_label"]) == card.classes[:2]
    assert (line["margin"], line["deviation"], line["kept"]) == (100, 0.5, None)
    assert list(tmp_path.iterdir()) == []


def test_lines_are_limited_and_say_how_many_there_were(card: Any, lines: list[Any]) -> None:
    engine = Engine(corner)
    shadow = shadow_of(card, engine)
    for _ in range(10):
        offer(shadow, engine, asymmetric())
        engine.run()
        shadow._recorder.wait()
    assert len(lines) == 1
    shadow._recorder._silent_until = 0.0
    offer(shadow, engine, asymmetric())
    engine.run()
    shadow._recorder.wait()
    assert [line["unlogged"] for line in lines] == [0, 9]


def test_logits_of_a_model_without_a_group_move_and_are_not_recorded(
    card: Any, lines: list[Any]
) -> None:
    def moved(images: Any) -> Any:
        return np.stack([images[:, 0, 0, 0] + 300.0, images[:, 0, 0, 0]], axis=1)

    for group, due in (("C4", 1), ("trivial", 0)):
        lines.clear()
        engine = Engine(moved)
        shadow = shadow_of(card.model_copy(update={"group": group}), engine)
        offer(shadow, engine, asymmetric())
        engine.run()
        shadow._recorder.wait()
        assert (shadow.tally.deviations, shadow.tally.disagreements) == (1, 0)
        assert len(lines) == due


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("channels", [1, 3])
def test_disagreeing_images_are_kept_where_a_setting_says_so(
    card: Any, tmp_path: Path, channels: int
) -> None:
    engine = Engine(corner)
    shadow = shadow_of(card, engine, tmp_path)
    images = np.random.default_rng(2).integers(0, 256, (12, channels, 8, 8), np.uint8)
    offer(shadow, engine, images)
    while engine.work:  # no faster than they are written
        work = engine.work.pop(0)
        logits = corner(work.images())
        work.ran(Inference(logits, logits))
        shadow._recorder.wait()
    kept = sorted(tmp_path.iterdir())
    assert kept
    digests = {shadow._recorder.digest(image)[:16]: image for image in images}
    for path in kept:
        name, version, digest, _element = path.stem.split("-")
        assert (path.suffix, name, version) == (".png", "turning", "10")
        pixels = np.asarray(Image.open(path)).reshape(8, 8, channels)
        assert np.array_equal(np.moveaxis(pixels, -1, 0), digests[digest])
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("lines")
def test_not_more_are_kept_than_there_is_room_for(
    card: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_KEEP_MOST", 3)
    engine = Engine(lambda images: np.random.default_rng().random((len(images), 2)))
    shadow = shadow_of(card, engine, tmp_path)
    for k in range(12):
        image = asymmetric()
        image[0, 0, 4, 4] = k
        offer(shadow, engine, image)
        engine.run()
        shadow._recorder.wait()
    assert len(list(tmp_path.iterdir())) == 3
    assert shadow.tally.unrecorded == 0
    next(tmp_path.iterdir()).unlink()
    image[0, 0, 4, 4] = 99
    offer(shadow, engine, image)
    engine.run()
    shadow._recorder.wait()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_disk_that_takes_nothing_is_counted_and_said(
    card: Any, lines: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    engine = Engine(lambda images: np.random.default_rng().random((len(images), 2)))
    shadow = shadow_of(card, engine, tmp_path)
    offer(shadow, engine, asymmetric())
    engine.run()
    shadow._recorder.wait()
    assert (shadow.tally.trials, shadow.tally.unrecorded) == (1, 1)
    assert list(tmp_path.iterdir()) == []  # not half an image either
    (line,) = lines
    assert line["event"] == "a finding of the shadow audits is lost"
    assert "No space left" in line["reason"]


@pytest.mark.usefixtures("lines")
def test_a_disk_that_hangs_holds_up_nobody_and_memory_stays_bounded(
    card: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: hangs.wait(10))
    engine = Engine(lambda images: np.random.default_rng().random((len(images), 2)))
    shadow = shadow_of(card, engine, tmp_path)
    offer(shadow, engine, asymmetric(100))
    engine.run()  # on this thread, which must not wait
    assert shadow.tally.trials == 100
    assert len(shadow._recorder._waiting) == 16
    assert shadow.tally.unrecorded in (100 - 16, 100 - 17)
    hangs.set()
    shadow._recorder.wait()
