"""What an import says before it is done, and how much of the images a large network is shown."""

import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from artifact.card import load_card
from artifact.contract import softmax
from artifact.rewriting import rewritten
from artifact.session import open_session
from audit import Classifier
from commands.onnx_import import import_model
from export import publish as publishing
from export import sample as sampling
from export.onnx_import.dry_run import describe
from export.onnx_import.importer import Request, import_onnx
from export.onnx_import.inputs import Scaling
from export.onnx_import.summary import _lines, summarise
from export.onnx_import.understand import understand
from export.runtime import open_model
from export.sample import Sample, choose_sample, passes

CNN = Path("model_repository/rotmnist-cnn/1")
DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = load_audit_set(CNN / "audit.npz")
    path = tmp_path_factory.mktemp("some") / "some.npz"
    save_audit_set(path, found.spread(40))
    return path


def request(some: Path, **options: Any) -> Request:
    return Request(CNN / "model.onnx", "plain", DIGITS, some, **options)


def test_a_dry_run_writes_nothing_and_says_what_the_import_would_do(
    some: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_model(
        CNN / "model.onnx",
        "plain",
        some,
        classes=",".join(DIGITS),
        symmetrise="C4",
        repository=tmp_path / "models",
        dry_run=True,
    )
    said = capsys.readouterr().out
    assert not (tmp_path / "models").exists()
    logits = open_model((CNN / "model.onnx").read_bytes())(load_audit_set(some).images[:1])
    top = int(logits.argmax())
    for expected in (
        "The input 'image' takes uint8 [?, 1, 28, 28], channels first: grey, and scales levels",
        "keeps the contract",
        "10 classes: 0, 1, 2, 3, 4 and 5 more.",
        "40 images of some.npz, with labels.",
        f"The first image is taken for: {top} {softmax(logits).max():.1%}, ",
        "average over C4: 4 times the multiply-adds",
        "prove C4: unknown, at most 900 s",
        "classify 40 images",
        "exactness of 40 images",
        "self-test: ",
        "audit of 40 images",
    ):
        assert expected in said
    assert "--all-images" not in said


def graph(body: str, channels: int = 3) -> onnx.ModelProto:
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> net (float[N, {channels}, 6, 6] x) => '
        f"(float[N, 3] y) {{ f = Flatten(x) {body} }}"
    )
    model = onnx.parser.parse_model(text)
    weights = np.random.default_rng(0).standard_normal((36 * channels, 3)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights / 5, "W"))
    return model


def test_of_a_network_without_a_symmetry_it_is_not_said_that_its_images_were_rotated() -> None:
    card = load_card(Path("model_repository/rotmnist-c4-int8/1/card.json"))
    assert card.exactness is not None
    alone = card.exactness.model_copy(update={"elements": ("identity",)})
    for exactness, begins in ((card.exactness, "Rotated, in other"), (alone, "In other")):
        told = _lines(card.model_copy(update={"exactness": exactness}))
        (said,) = (line for line in told if "with other threads" in line)
        assert said.startswith(begins)


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        ("y = MatMul(f, W)", {}, ["'y' holds the logits", "red, green, blue.", "(1 x"]),
        (
            "l = MatMul(f, W) y = Softmax <axis = 1> (l)",
            {"scaling": Scaling(1 / 255, bgr=True), "fit": "crop", "filter": "bicubic"},
            [
                "The logits are 'l', on the way to the output 'y'.",
                "blue, green, red.",
                "cropped to the largest square, by the bicubic filter.",
            ],
        ),
        (
            "m = MatMul(f, W) s = Softmax <axis = 1> (m) r = Round(s) z = Sub(s, r) "
            "y = Softmax <axis = 1> (m)",
            {"output_kind": "probabilities"},
            ["The logits are 'm'"],
        ),
    ],
)
def test_it_says_where_the_logits_come_from_and_how_images_are_read(
    tmp_path: Path, body: str, options: dict[str, Any], expected: list[str]
) -> None:
    onnx.save_model(graph(body), tmp_path / "net.onnx")
    images = np.random.default_rng(1).integers(0, 256, (5, 3, 6, 6), np.uint8)
    save_audit_set(tmp_path / "images.npz", AuditSet(images))
    options = {"scaling": Scaling(1.0)} | options
    given = Request(
        tmp_path / "net.onnx", "net", ("a", "b", "c"), tmp_path / "images.npz", **options
    )
    said = "\n".join(describe(understand(given)))
    for each in expected:
        assert each in said
    assert "prove D4, or else C4" in said


@pytest.mark.slow
def test_what_is_said_to_come_is_what_is_classified(
    some: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = {"alone": 0, "together": 0}
    lock = threading.Lock()

    def counting(model: bytes, threads: int | None = None) -> Classifier:
        classify, which = open_model(model, threads), "alone" if threads == 1 else "together"

        def ask(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            with lock:
                counted[which] += len(images)
            return classify(images)

        return ask

    def counting_session(model: bytes, threads: int) -> Mock:
        session = open_session(model, threads)

        def run(names: list[str], feeds: dict[str, NDArray[np.uint8]]) -> Any:
            counted["together"] += sum(map(len, feeds.values()))
            return session.run(names, feeds)

        return Mock(run=run)

    def node_by_node(model: bytes, images: NDArray[np.uint8], *rest: Any) -> str | None:
        counted["alone"] += len(images)
        return rewritten(model, images, *rest)

    monkeypatch.setattr(publishing, "open_model", counting)
    monkeypatch.setattr(publishing, "open_session", counting_session)
    monkeypatch.setattr(publishing, "rewritten", node_by_node)
    monkeypatch.setattr(publishing, "cpu_budget", lambda: 2)
    monkeypatch.setattr(sampling, "cpu_budget", lambda: 2)
    import_onnx(request(some, symmetrise="C4"), tmp_path)
    due = passes("C4", "C4", Sample(40, 40))
    assert counted["together"] == sum(each.classified for each in due)
    assert counted["alone"] == sum(each.alone for each in due)


@pytest.mark.parametrize("group", ["trivial", "C4", "D4"])
@pytest.mark.parametrize("multiply_adds", [0, 6 * 10**6, 4 * 10**9, 33 * 10**9, 10**15])
def test_a_sample_is_bounded_by_what_it_costs(group: str, multiply_adds: int) -> None:
    audited = "C4" if group == "trivial" else group
    for count in (1, 3, 28, 512, 5000):
        sample = choose_sample(count, group, audited, multiply_adds)
        assert 1 <= sample.measured <= sample.audited <= count
        assert sample == choose_sample(count, group, audited, multiply_adds)
        asked = sum(each.classified + each.alone for each in passes(group, audited, sample))
        most = sampling._MEASURED + sampling._AUDITED
        assert asked * multiply_adds <= 1.5 * most or sample.measured == min(count, 4)
    assert choose_sample(512, group, audited, 6 * 10**6) == Sample(512, 512)


@pytest.mark.slow
def test_a_large_network_is_measured_on_a_sample_and_all_say_so(
    some: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}

    def progress(stage: str, done: int, total: int) -> None:
        seen.setdefault(stage, []).append((done, total))

    monkeypatch.setattr(sampling, "_AUDITED", 10**9)
    monkeypatch.setattr(sampling, "_MEASURED", 4 * 10**8)
    folder = import_onnx(request(some), tmp_path, progress)
    card = load_card(folder / "card.json")
    assert card.exactness is not None
    assert 4 <= card.exactness.images < card.audit.images < card.audit_set.count == 40
    assert card.metrics["audit"].count == card.audit.images
    sentence = f"on a sample: {card.exactness.images} of 40 images, and audited on "
    assert f"{sentence}{card.audit.images}; --all-images" in "\n".join(summarise(folder))
    assert "is a sample of the images" in "\n".join(describe(understand(request(some))))
    for stage in ("trying to prove D4", "proving C4", "measuring", "self-test", "auditing"):
        dones, totals = zip(*seen[stage], strict=True)
        assert len({*totals}) == 1
        assert list(dones) == sorted(dones)
        assert dones[-1] == totals[0]
    folder = import_onnx(request(some, all_images=True), tmp_path)
    card = load_card(folder / "card.json")
    assert card.exactness is not None
    assert card.exactness.images == card.audit.images == card.audit_set.count == 40
    assert "--all-images" not in "\n".join(summarise(folder))
    assert "is a sample" not in "\n".join(describe(understand(request(some, all_images=True))))
