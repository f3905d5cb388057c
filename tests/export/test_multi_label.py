"""A head of sigmoids, one for each class: served, audited and told as what it is, or refused."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

import orbitserve
from artifact.audit_set import load_audit_set
from artifact.card import Card, load_card
from artifact.contract import probabilities_of, softmax
from audit import Thresholds, run_audit
from audit.labels import number_sets
from audit.options import AuditOptions
from audit.pipeline import run_pipeline
from audit.render import formats, render
from export.onnx_import.adapt import adapt
from export.onnx_import.answers import check_answers
from export.onnx_import.graphs import finished
from export.onnx_import.importer import Request, import_onnx
from imaging import RefusedError
from service.audits.targets import open_file, version_under_test
from service.environment import read_settings
from service.protocol.answers import classification
from service.repository.local import open_model
from service.shadow.tally import compare

pytestmark = pytest.mark.slow

LABELS = ("cat", "dog", "猫 and dog", "none of these")
BODY = "x = Cast<to = 1>(image) c = Conv<pads = [1, 1, 1, 1]>(x, W) r = Relu(c) f = Flatten(r)"
HEADS = {
    "plain": "z = Gemm(f, H, B) y = Sigmoid(z)",
    "behind layout": "z = Gemm(f, H, B) s = Sigmoid(z) u = Cast<to = 1>(s) y = Identity(u)",
    "per cent": "z = Gemm(f, H, B) s = Sigmoid(z) y = Mul(s, HUNDRED)",
    "half": "z = Gemm(f, H, B) s = Sigmoid(z) h = Cast<to = 10>(s) y = Cast<to = 1>(h)",
}
LOGITS = "y = Gemm(f, H, B)"
CONTRACT = "logits = Gemm(f, H, B) probabilities = Sigmoid(logits)"


def file(head: str, outputs: str = "float[N, 4] y") -> bytes:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> net (uint8[N, 1, 8, 8] image)
        => ({outputs}) {{ {BODY} {head} }}"""
    random, model = np.random.default_rng(5), onnx.parser.parse_model(text)
    stored = {
        "W": 0.02 * random.standard_normal((3, 1, 3, 3)),
        "H": 0.1 * random.standard_normal((3 * 64, 4)),
        "B": np.array([0.0, 0.4, -0.6, 0.0]),
        "HUNDRED": np.array(100.0),
    }
    for name, values in stored.items():
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    return bytes(model.SerializeToString())


def run(data: bytes, images: NDArray[np.uint8], output: str | None = None) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output] if output else None, {"image": images})[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    (folder / "pictures").mkdir()
    for place in range(12):
        pixels = np.random.default_rng(place).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{place:02}.png")
    return folder


@pytest.fixture(scope="module")
def request_for(folder: Path) -> Callable[..., Request]:
    def request(data: bytes, **options: Any) -> Request:
        (folder / "net.onnx").write_bytes(data)
        asked = {"classes": LABELS} | options
        return Request(folder / "net.onnx", "tags", pictures=folder / "pictures", **asked)

    return request


@pytest.fixture(scope="module")
def repository(folder: Path, request_for: Callable[..., Request]) -> Path:
    """Return a repository with the plain head."""
    import_onnx(request_for(file(HEADS["plain"])), folder / "repository")
    return folder / "repository"


@pytest.fixture(scope="module")
def card(repository: Path) -> Card:
    return load_card(repository / "tags" / "1" / "card.json")


@pytest.fixture(scope="module")
def images(repository: Path) -> NDArray[np.uint8]:
    return load_audit_set(repository / "tags" / "1" / "audit.npz").images


# --- import ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_probabilities_are_those_of_the_file(name: str, images: NDArray[np.uint8]) -> None:
    data = file(HEADS[name])
    found = adapt(data, 4)
    model = finished(found.model, {})
    check_answers(data, found, model, images, 4)
    assert found.multi_label
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"image": images})
    scale = 100 if name == "per cent" else 1
    np.testing.assert_allclose(probabilities, run(data, images) / scale, atol=1e-3)
    np.testing.assert_allclose(probabilities, probabilities_of(logits, multi_label=True), atol=1e-3)
    assert np.abs(probabilities - softmax(logits)).max() > 0.1
    assert "Softmax" not in {node.op_type for node in found.model.graph.node}


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (file(LOGITS), {"multi_label": True}),
        (file(CONTRACT, "float[N, 4] logits, float[N, 4] probabilities"), {}),
        (file(f"{HEADS['plain'].replace('y =', 'p =')} y = Sqrt(p)"), {"output_kind": "sigmoid"}),
    ],
    ids=["logits", "the contract", "said"],
)
def test_where_the_graph_does_not_tell_somebody_may(
    data: bytes, options: dict[str, Any], images: NDArray[np.uint8]
) -> None:
    found = adapt(data, 4, **options)
    model = finished(found.model, {})
    check_answers(data, found, model, images, 4)
    assert found.multi_label
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"image": images})
    np.testing.assert_allclose(probabilities, probabilities_of(logits, multi_label=True), atol=1e-5)


def test_certain_answers_have_logits_all_the_same(images: NDArray[np.uint8]) -> None:
    head = "z = Gemm(f, H, B) g = Sign(z) a = Relu(g) y = Mul(a, ONE)"
    model = onnx.load_model_from_string(file(head))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "ONE"))
    data = bytes(model.SerializeToString())
    found = adapt(data, 4, output_kind="sigmoid")
    check_answers(data, found, finished(found.model, {}), images, 4)


def test_what_transformers_write_is_read(
    tmp_path: Path, folder: Path, request_for: Callable[..., Request]
) -> None:
    (tmp_path / "model.onnx").write_bytes(file(LOGITS))
    beside = {
        "problem_type": "multi_label_classification",
        "id2label": {str(place): name for place, name in enumerate(LABELS)},
    }
    (tmp_path / "config.json").write_text(json.dumps(beside))
    request = Request(tmp_path, "tags", (), folder / "pictures")
    card = load_card(import_onnx(request, tmp_path / "repository") / "card.json")
    assert (card.multi_label, card.classes) == (True, LABELS)


REFUSED = {
    "a softmax": (file("z = Gemm(f, H, B) y = Softmax(z)"), {}, "one distribution over all"),
    "its logarithms": (
        file("z = Gemm(f, H, B) y = LogSoftmax(z)"),
        {},
        "one distribution over all",
    ),
    "too few": (file(HEADS["plain"]), {"classes": ("a", "b")}, "4 numbers an image, and 2 classes"),
    "a softmax that keeps the contract": (
        file(
            CONTRACT.replace("Sigmoid", "Softmax"), "float[N, 4] logits, float[N, 4] probabilities"
        ),
        {},
        "answers differ",
    ),
    "one unit": (
        file("z = Gemm(f, H, B) s = Sigmoid(z) y = ReduceMax<axes = [1]>(s)", "float[N, 1] y"),
        {"classes": ("a", "b"), "output_kind": "sigmoid"},
        "one number an image, and several labels",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_head_of_several_labels_is_not_taken_for_one(
    tmp_path: Path, request_for: Callable[..., Request], name: str
) -> None:
    data, options, sentence = REFUSED[name]
    with pytest.raises(RefusedError, match=sentence):
        import_onnx(request_for(data, **({"multi_label": True} | options)), tmp_path)


def test_one_sigmoid_is_two_classes_that_exclude_each_other() -> None:
    found = adapt(file("z = ReduceMax<axes = [1]>(f) y = Sigmoid(z)", "float[N, 1] y"), 2)
    assert not found.multi_label


def test_folders_that_name_one_class_are_no_labels_of_such_a_model(
    tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "pictures" / "cat" / "a.png")
    (tmp_path / "net.onnx").write_bytes(file(HEADS["plain"]))
    request = Request(tmp_path / "net.onnx", "tags", LABELS, tmp_path / "pictures")
    with pytest.raises(RefusedError, match="images without labels"):
        import_onnx(request, tmp_path / "repository")


@pytest.mark.parametrize("group", ["C4", "D4"])
def test_an_average_keeps_the_sigmoids(
    tmp_path: Path, request_for: Callable[..., Request], group: str, images: NDArray[np.uint8]
) -> None:
    place = import_onnx(request_for(file(HEADS["plain"]), symmetrise=group), tmp_path)
    card = load_card(place / "card.json")
    assert (card.multi_label, card.group, card.proof.outcome) == (True, group, "PROVED")
    session = onnxruntime.InferenceSession(place / "model.onnx")
    logits, probabilities = session.run(["logits", "probabilities"], {"image": images})
    np.testing.assert_allclose(probabilities, probabilities_of(logits, multi_label=True), atol=1e-6)
    # The version itself may be imported again, and stays what it is.
    again = adapt((place / "model.onnx").read_bytes(), 4)
    assert (again.multi_label, again.adaptations) == (True, ())


# --- service --------------------------------------------------------------------------------------


def test_the_card_says_so_and_others_do_not(card: Card) -> None:
    assert card.multi_label
    assert card.identity.multi_label
    assert Card.model_validate_json(card.model_dump_json()) == card
    other = load_card(Path("model_repository/rotmnist-c4/1/card.json"))
    assert not other.multi_label
    assert "multi_label" not in other.model_dump_json()


def test_all_labels_above_one_half_are_answered(
    repository: Path, card: Card, images: NDArray[np.uint8]
) -> None:
    served = open_model("tags", read_settings(repository=repository))
    result = served.session.run(images)
    found = classification(served.identity, card.classes, result, 2, multi_label=True)
    expected_rows = run(file(HEADS["plain"]), images)
    counts = set()
    for row, answer in zip(expected_rows, found["predictions"], strict=True):
        labels = [each["label"] for each in answer["labels"]]
        expected = [LABELS[k] for k in np.argsort(-row) if row[k] > 0.5]
        assert labels == expected
        assert len(answer["top"]) == 2
        assert "label" not in answer
        for each in (*answer["labels"], *answer["top"]):
            assert each["probability"] == pytest.approx(row[each["index"]], abs=1e-6)
        counts.add(len(labels))
    assert len(counts) > 2  # none, one or several


# --- what a label is, and when it changed -------------------------------------------------------


def test_an_audit_compares_every_decision_and_says_so(repository: Path, card: Card) -> None:
    served = open_model("tags", read_settings(repository=repository))
    options = AuditOptions().resolve("fp32", "C4", 0)
    report = run_pipeline(version_under_test(served), served.audit_set(), options, source="noise")
    assert report.model.multi_label
    assert any("decides on each label by itself" in each for each in report.claim)
    images = served.audit_set().images
    turned = [np.ascontiguousarray(np.rot90(images, k, (2, 3))) for k in range(4)]
    decided = np.stack([served.session.run(each).logits > 0 for each in turned])
    kept = (decided == decided[0]).all(axis=(0, 2))
    assert report.figures.agreeing_images == kept.sum()
    assert report.figures.answers is not None
    assert report.figures.answers.kept == tuple(kept.tolist())
    for cell in report.figures.classes:
        shown = decided[0, :, cell.label]
        alike = (decided[:, :, cell.label] == shown).all(axis=0)
        assert (cell.images, cell.agreeing) == (shown.sum(), (shown & alike).sum())
    for n, number in enumerate(report.figures.answers.labels):
        names = [LABELS[k] for k in np.flatnonzero(decided[0, n])]
        assert report.label_name(number) == (" + ".join(names) or "no label")
    assert report.self_test is not None
    assert report.self_test.mutant == "FAIL"
    for name in formats():
        assert render(report, name)


def second_label_by_orientation(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Answer alike for the likeliest label, and give another one to what is brighter above."""
    bright = images.mean(axis=(1, 2, 3), dtype=np.float64)
    halves = images[:, :, :4].mean(axis=(1, 2, 3), dtype=np.float64)
    logits = np.stack([bright / 10, 1e-5 * np.sign(halves - bright), -bright, -bright], axis=1)
    return logits.astype(np.float32)


@pytest.mark.parametrize("several", [True, False])
def test_a_label_that_is_not_the_likeliest_is_compared_too(
    card: Card, images: NDArray[np.uint8], several: bool
) -> None:
    report = run_audit(
        second_label_by_orientation,
        images,
        None,
        group="C4",
        thresholds=Thresholds(),
        model=card.identity.model_copy(update={"multi_label": several}),
        source="noise",
    )
    assert report.figures.relative_logit_deviation < report.thresholds.logit_tolerance
    assert report.figures.agreeing_images == (0 if several else len(images))
    assert report.verdict == ("FAIL" if several else "INCONCLUSIVE")
    labels = {each.rotated_label for each in report.worst} | {each.label for each in report.worst}
    assert {report.label_name(label) for label in labels} == (
        {"cat", "cat + dog"} if several else {"cat"}
    )
    for name in formats():
        assert render(report, name)


def test_images_without_any_label_say_nothing(card: Card, images: NDArray[np.uint8]) -> None:
    report = run_audit(
        lambda batch: -np.ones((len(batch), 4), np.float32),
        images,
        None,
        group="C4",
        thresholds=Thresholds(),
        model=card.identity,
        source="noise",
    )
    assert report.verdict == "INCONCLUSIVE"
    assert report.figures.classes == ()
    assert report.label_sets == ((),)
    for name in formats():
        assert render(report, name)


def test_labels_that_images_should_get_are_refused(card: Card, images: NDArray[np.uint8]) -> None:
    with pytest.raises(RefusedError, match="several labels"):
        run_audit(
            second_label_by_orientation,
            images,
            np.zeros(len(images), np.int64),
            group="C4",
            thresholds=Thresholds(),
            model=card.identity,
            source="noise",
        )


def test_what_is_turned_unnoticed_is_compared_by_all_labels() -> None:
    upright, turned = np.array([[3, 1, -1], [3, -1, -1]], np.float32)
    assert compare(upright, turned).agrees
    found = compare(upright, turned, multi_label=True)
    assert (found.labels, found.rotated_labels, found.agrees) == ((0, 1), (0,), False)
    assert found.margin == 1


@settings(max_examples=50, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(2, 5))))
def test_equal_sets_have_equal_numbers_and_a_single_label_its_class(
    decided: NDArray[np.bool_],
) -> None:
    found, classes = number_sets(decided), decided.shape[-1]
    every = [(k,) for k in range(classes)] + list(found.sets)
    for place in np.ndindex(decided.shape[:-1]):
        assert every[found.numbers[place]] == tuple(np.flatnonzero(decided[place]))
    assert len(set(every)) == len(every)


def test_a_proof_speaks_of_logits_near_nought(repository: Path, folder: Path) -> None:
    request = Request(
        repository / "tags/1/model.onnx", "even", LABELS, folder / "pictures", symmetrise="C4"
    )
    import_onnx(request, folder / "averaged")
    served = open_model("even", read_settings(repository=folder / "averaged"))
    options = AuditOptions().resolve("fp32", "C4", 0)
    report = run_pipeline(version_under_test(served), served.audit_set(), options, source="noise")
    assert report.figures.agreeing_images == report.figures.images
    assert any("no farther from 0 than such a change" in each for each in report.claim)
    assert not any("two largest logits" in each for each in report.claim)


@pytest.mark.parametrize("asked", [{"angles": 8}, {"exhaustive_angles": True}])
def test_angles_in_between_are_refused(repository: Path, asked: dict[str, Any]) -> None:
    served = open_model("tags", read_settings(repository=repository))
    options = AuditOptions(**asked).resolve("fp32", "C4", 0)
    with pytest.raises(RefusedError, match="several labels"):
        run_pipeline(version_under_test(served), served.audit_set(), options, source="noise")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "tags", "PICTURES"], "only models that give one are evaluated"),
        (["compare", "tags", "tags"], "only models that give one are compared"),
        (["audit", "tags", "--angles", "8"], "the group's own are accepted"),
        (["audit", "tags", "--images", "PICTURES", "--labels", "l.csv"], "images without labels"),
    ],
    ids=["evaluate", "compare", "angles", "labels"],
)
def test_other_commands_refuse_it_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    repository: Path,
    folder: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    words = [str(folder / "pictures") if word == "PICTURES" else word for word in arguments]
    monkeypatch.setattr(sys, "argv", ["orbitserve", *words, "--repository", str(repository)])
    with pytest.raises(SystemExit) as end:
        orbitserve.main()
    assert end.value.code == 3
    assert sentence in capsys.readouterr().err


def classified(
    monkeypatch: pytest.MonkeyPatch, repository: Path, folder: Path, *more: str | Path
) -> int | str | None:
    words = ["classify", str(folder / "pictures"), "--model", "tags", *map(str, more)]
    monkeypatch.setattr(sys, "argv", ["orbitserve", *words, "--repository", str(repository)])
    with pytest.raises(SystemExit) as end:
        orbitserve.main()
    return end.value.code


def test_a_folder_is_classified_by_all_labels_that_each_image_gets(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    repository: Path,
    folder: Path,
    tmp_path: Path,
    images: NDArray[np.uint8],
) -> None:
    """In every format, also when an output is gone on with, and as over HTTP."""
    logits = run((repository / "tags" / "1" / "model.onnx").read_bytes(), images, "logits")
    due = [[LABELS[k] for k in np.argsort(-row, kind="stable") if row[k] > 0] for row in logits]
    assert [] in due
    assert any(len(labels) > 1 for labels in due)

    assert not classified(monkeypatch, repository, folder)
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [line[1:-1:2] if line[0] != "none" else [] for line in lines] == due

    jsonl, table = tmp_path / "tags.jsonl", tmp_path / "tags.csv"
    parquet = tmp_path / "tags.parquet"
    for output in (jsonl, table, parquet):
        assert not classified(
            monkeypatch, repository, folder, "--output", output, "--top-k", "2", "--resume"
        )
        before = output.read_bytes()
        assert not classified(
            monkeypatch, repository, folder, "--output", output, "--top-k", "2", "--resume"
        )
        assert output.read_bytes() == before
    answers = [json.loads(line) for line in jsonl.read_text().splitlines()]
    assert [[each["label"] for each in answer["labels"]] for answer in answers] == due
    assert all("label" not in answer and len(answer["top"]) == 2 for answer in answers)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["labels"].split(";") if row["labels"] else [] for row in rows] == due
    columns = pyarrow.parquet.read_table(parquet).to_pydict()
    for name in ("labels", "indices", "probabilities", "label", "label_2"):
        assert columns[name] == [row[name] for row in rows]


def test_a_bare_file_says_it_itself(tmp_path: Path, repository: Path) -> None:
    under_test, _, group = open_file(
        repository / "tags" / "1" / "model.onnx", read_settings(repository=repository)
    )
    assert (under_test.identity.multi_label, under_test.identity.classes) == (True, LABELS)
    assert group == "C4"
    nameless = tmp_path / "net.onnx"
    nameless.write_bytes(file(CONTRACT, "float[N, 4] logits, float[N, 4] probabilities"))
    with pytest.raises(RefusedError, match="several labels, and not what they are"):
        open_file(nameless, read_settings(repository=repository))
    nameless.write_bytes(file(HEADS["plain"]))
    with pytest.raises(RefusedError, match="'y' gives each class a probability of its own"):
        open_file(nameless, read_settings(repository=repository))
