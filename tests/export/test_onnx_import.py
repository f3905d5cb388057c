"""Importing from end to end: what the card says, what is served, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from artifact.card import Card, load_card
from audit import mutate
from audit.proof import Limits, Proof, prove
from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.importer import Request, import_onnx
from export.onnx_import.inputs import Scaling
from export.onnx_import.summary import summarise
from export.runtime import open_model as run_model
from service.environment import read_settings
from service.repository.local import open_model
from tests.artifact.test_rewriting import IMAGES, normalising
from tests.artifact.test_session import ending

CNN = Path("model_repository/rotmnist-cnn/1")
ESCNN = Path("tests/audit/data/escnn-c4.onnx")
DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty digits in a folder, without labels."""
    folder = tmp_path_factory.mktemp("digits")
    for place, image in enumerate(load_audit_set(CNN / "audit.npz").images[:40]):
        Image.fromarray(image[0]).save(folder / f"{place}.png")
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit set's digits that the plain network gets wrong, among others."""
    found = load_audit_set(CNN / "audit.npz")
    assert found.labels is not None
    logits = run_model((CNN / "model.onnx").read_bytes())(found.images)
    chosen = np.flatnonzero(logits.argmax(1) != found.labels)
    chosen = np.union1d(chosen, np.arange(40))
    path = tmp_path_factory.mktemp("labelled") / "some.npz"
    taken_of = np.arange(len(chosen)) // 2
    save_audit_set(path, AuditSet(found.images[chosen], found.labels[chosen], taken_of))
    return path


def plain(pictures: Path, **options: Any) -> Request:
    return Request(CNN / "model.onnx", "plain", DIGITS, pictures, **options)


def escnn(digits: Path, **options: Any) -> Request:
    given = {"scaling": Scaling(1 / 255), "group": "C4"} | options
    return Request(ESCNN, "escnn", tuple("abcd"), digits, **given)


def imported(request: Request, repository: Path) -> tuple[Path, Card]:
    folder = import_onnx(request, repository)
    return folder, load_card(folder / "card.json")


@pytest.mark.slow
def test_a_plain_network_gets_a_symmetry_and_the_card_says_what_it_cost(
    tmp_path: Path, labelled: Path
) -> None:
    folder, card = imported(plain(labelled, symmetrise="C4", licence="CC0"), tmp_path)
    before = load_card(CNN / "card.json")
    assert (card.group, card.precision, card.parity, card.training) == ("C4", "fp32", None, None)
    assert card.proof is not None
    assert (card.proof.outcome, card.proof.arithmetic) == ("PROVED", "repeated")
    assert card.audit.verdict == "INCONCLUSIVE"  # of so few images
    assert card.audit.max_logit_deviation == 0
    assert card.size.multiply_adds == 4 * before.size.multiply_adds
    assert card.audit_set.licence == "CC0"

    assert card.origin is not None
    change = card.origin.change
    assert change is not None
    assert (card.origin.file, card.origin.sha256) == ("model.onnx", before.sha256)
    assert (change.kind, change.group) == ("orbit average", "C4")
    images, bundled = load_audit_set(labelled), load_audit_set(folder / "audit.npz")
    assert bundled.groups is not None
    assert np.array_equal(bundled.groups, images.groups)  # or photographs of one thing count twice
    after, earlier = (
        run_model((version / "model.onnx").read_bytes())(images.images) for version in (folder, CNN)
    )
    errors = [100 * float((x.argmax(1) != images.labels).mean()) for x in (earlier, after)]
    assert [change.error_percent_before, change.error_percent] == errors
    assert errors[1] < errors[0]
    assert change.label_agreement == (after.argmax(1) == earlier.argmax(1)).mean()
    assert change.max_abs_logits == pytest.approx(np.abs(after - earlier).max(), rel=1e-4)
    assert card.metrics["audit"].error_percent == errors[1]
    assert f"{errors[1]:.2f} % where it was {errors[0]:.2f} %" in "\n".join(summarise(folder))
    assert "(4 times)" in "\n".join(summarise(folder))
    # The claim is read from the metadata, as `orbitserve prove` does.
    assert prove((folder / "model.onnx").read_bytes()).group == "C4"


def test_a_white_level_is_used_and_kept(tmp_path: Path) -> None:
    digits = np.random.default_rng(0).integers(0, 256, (8, 1, 13, 13), np.uint8)
    (tmp_path / "images").mkdir()
    for place, image in enumerate(digits):
        twelve = image[0].astype(np.uint16) * 16
        Image.fromarray(twelve).save(tmp_path / "images" / f"{place}.png")
    request = escnn(tmp_path / "images", white_level=4080)
    folder, card = imported(request, tmp_path / "repository")
    assert card.input.white_level == 4080
    assert np.array_equal(load_audit_set(folder / "audit.npz").images, digits)


def test_a_version_is_served_as_any_other_and_its_claims_are_enforced(
    tmp_path: Path, digits: Path
) -> None:
    folder, card = imported(escnn(digits, project=True), tmp_path)
    assert card.proof is not None
    assert (card.group, card.proof.outcome, card.proof.residual) == ("C4", "PROVED", None)
    assert card.origin is not None
    assert card.origin.change is not None
    assert card.origin.change.kind == "projection"
    assert 0 < (card.origin.change.relative_weight_change or 0) < 1e-6
    assert card.origin.change.error_percent is None
    assert card.metrics == {}
    served = open_model("escnn", read_settings(repository=tmp_path, proof="enforce"))
    images = load_audit_set(folder / "audit.npz")
    assert images.images.shape == (40, 1, 13, 13)
    assert images.labels is None
    assert served.session.run(images.images).logits.shape == (40, 4)
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert metadata["group"] == "C4"
    assert json.loads(metadata["classes"]) == list("abcd")
    assert metadata["source_sha256"] == card.origin.sha256


@pytest.mark.slow
def test_constants_are_computed_by_the_runtime_too(
    tmp_path: Path, digits: Path, doubtful: Callable[[bytes], bytes]
) -> None:
    """Of a file whose group is asked for, of one whose group is found, and of what is published."""
    file = tmp_path / "doubtful.onnx"
    file.write_bytes(doubtful(ESCNN.read_bytes()))
    for group in ("C4", None):
        request = Request(file, "d", tuple("abcd"), digits, group=group, scaling=Scaling(1 / 255))
        _, card = imported(request, tmp_path)
        assert card.group == "C4"
        assert card.proof is not None and card.proof.outcome == "PROVED WITHIN"


def test_a_proof_past_its_limits_claims_nothing(
    tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(*arguments: Any, **options: Any) -> Proof:
        return prove(*arguments, **options | {"limits": Limits(seconds=1e-6)})

    monkeypatch.setattr("audit.proving.prove", limited)
    with pytest.raises(OnnxImportError, match="not proved over C4: The proof takes more than"):
        import_onnx(escnn(digits, group="C4"), tmp_path)
    assert not list(tmp_path.iterdir())
    _, card = imported(escnn(digits, group=None), tmp_path)
    assert card.group == "trivial"
    assert card.proof is not None and card.proof.outcome == "NOT PROVED"


@pytest.mark.slow
def test_without_a_group_the_largest_that_is_proved_goes_on_the_card(
    tmp_path: Path, digits: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(mutate(ESCNN.read_bytes()))
    for file, group in (
        (ESCNN, "C4"),
        (ESCNN.with_name("escnn-d4.onnx"), "D4"),
        (broken, "trivial"),
    ):
        request = Request(file, "x", tuple("abcd"), digits, scaling=Scaling(1 / 255))
        _, card = imported(request, tmp_path)
        assert card.group == group
        assert card.proof is not None
        assert (card.proof.outcome == "NOT PROVED") == (group == "trivial")


@pytest.mark.slow
def test_what_is_not_so_is_not_claimed(tmp_path: Path, digits: Path) -> None:
    refused = {
        "is not proved over C4.*without --group": plain(digits, group="C4"),
        "is not proved over D4": escnn(digits, group="D4"),
        "cannot be projected onto C4": plain(digits, group="C4", project=True),
        "--group names it": escnn(digits, group=None, project=True),
        "not both": plain(digits, group="C4", project=True, symmetrise="C4"),
        "--group is not accepted": plain(digits, group="C4", symmetrise="D4"),
        "'a' is named 2 times; two or more": Request(CNN / "model.onnx", "x", ("a", "a"), digits),
        "One class is named, 'a'": Request(CNN / "model.onnx", "x", ("a",), digits),
        "' ' cannot be written down": Request(CNN / "model.onnx", "x", ("a", " "), digits),
        "cannot be written down": Request(CNN / "model.onnx", "x", ("a", "b\ud800"), digits),
        "4 numbers an image, and 3 classes": Request(
            ESCNN, "x", tuple("abc"), digits, scaling=Scaling(1.0)
        ),
        "cannot be read": Request(Path("nobody.onnx"), "x", DIGITS, digits),
        "This is no ONNX file|no valid ONNX file": Request(CNN / "card.json", "x", DIGITS, digits),
        "names no model": Request(CNN / "model.onnx", "No Name", DIGITS, digits),
        "There is no": Request(CNN / "model.onnx", "x", DIGITS, Path("nowhere")),
    }
    for sentence, request in refused.items():
        with pytest.raises(ValueError, match=sentence) as refusal:
            import_onnx(request, tmp_path)
        assert str(refusal.value).count("\n") == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({"group": "C4"}, "--group C4"),
        ({"symmetrise": "C4"}, "--symmetrise"),
        ({"output_kind": "probabilities"}, "--output-kind"),
    ],
)
def test_a_hint_does_not_ask_for_what_was_given(
    tmp_path: Path,
    digits: Path,
    options: dict[str, Any],
    given: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failed(*arguments: Any, **more: Any) -> Proof:
        found = prove(*arguments, **more)
        return found.model_copy(update={"outcome": "NOT PROVED", "reasons": ("It moves.",)})

    monkeypatch.setattr("export.onnx_import.importer.prove_or_give_up", failed)
    with pytest.raises(OnnxImportError) as refusal:
        import_onnx(plain(digits, **options), tmp_path)
    hint = str(refusal.value).rpartition(";")[2]
    for remedy in hint.split(","):
        assert given not in remedy or "without" in remedy or "another" in remedy


@pytest.mark.parametrize("kind", ["no convolution", "weights in nodes"])
def test_whatever_network_it_is_it_is_audited(tmp_path: Path, digits: Path, kind: str) -> None:
    """One without a kernel to change for the self-test, and one that keeps it in a node."""
    random = np.random.default_rng(0)
    body = (
        "f = Flatten(x) y = MatMul(f, H)"
        if kind == "no convolution"
        else ("c = Conv(x, W) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, H)")
    )
    text = '<ir_version: 8, opset_import: ["" : 17]> net (float[N, 1, 28, 28] x) => (float[N, 2] y)'
    model = onnx.parser.parse_model(f"{text} {{ {body} }}")
    size = 784 if kind == "no convolution" else 5
    for name, shape in (("W", (5, 1, 3, 3)), ("H", (size, 2))):
        value = numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        if kind == "weights in nodes":
            model.graph.node.insert(0, helper.make_node("Constant", [], [name], value=value))
        elif name == "H":
            model.graph.initializer.append(value)
    file = tmp_path / "net.onnx"
    file.write_bytes(model.SerializeToString())
    request = Request(file, "net", ("a", "b"), digits, scaling=Scaling(1 / 255))
    folder, card = imported(request, tmp_path / "models")
    assert card.audit.images == 40
    graph = onnx.load_model(folder / "model.onnx").graph
    assert {"H"} <= {tensor.name for tensor in graph.initializer}


def test_an_error_of_the_import_is_one_of_values() -> None:
    assert issubclass(OnnxImportError, ValueError)


def test_a_file_that_ends_the_process_is_refused_in_a_sentence(tmp_path: Path) -> None:
    file, pictures = tmp_path / "ending.onnx", tmp_path / "noise.npz"
    file.write_bytes(ending())
    save_audit_set(pictures, AuditSet(IMAGES, None))
    request = Request(file, "ending", tuple("abc"), pictures)
    with pytest.raises(ValueError, match="ends the process that opens and runs the file"):
        import_onnx(request, tmp_path / "models")


def test_a_file_of_which_onnxruntime_makes_another_function_is_not_imported(
    tmp_path: Path,
) -> None:
    file, pictures = tmp_path / "normalising.onnx", tmp_path / "noise.npz"
    file.write_bytes(normalising(np.ones(8, np.float32)))
    save_audit_set(pictures, AuditSet(IMAGES, None))
    request = Request(file, "normalising", tuple("abc"), pictures)
    with pytest.raises(ValueError, match=r"differ by up to 0.69 of the largest; nothing was"):
        import_onnx(request, tmp_path / "models")
    assert not (tmp_path / "models").exists()
    file.write_bytes(normalising(np.ones((8, 8), np.float32)))
    assert import_onnx(request, tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("tail", "precision"),
    [
        ("t = Cast<to = 10>(h) logits = Cast<to = 1>(t)", "fp16"),
        ("t = Cast<to = 10>(h) logits = Identity(h)", "fp32"),
    ],
)
def test_half_precision_is_that_of_a_file_whose_logits_come_of_it(
    tmp_path: Path, tail: str, precision: str
) -> None:
    """Numbers of half precision that nothing reads do not make it one, which then is not served."""
    file, pictures = tmp_path / "halves.onnx", tmp_path / "noise.npz"
    model = onnx.load_model_from_string(normalising(np.ones((8, 8), np.float32), tail))
    halves = np.ones(3, np.float16)
    model.graph.initializer.append(onnx.numpy_helper.from_array(halves, "unread"))
    file.write_bytes(model.SerializeToString())
    save_audit_set(pictures, AuditSet(IMAGES, None))
    request = Request(file, "halves", tuple("abc"), pictures)
    assert imported(request, tmp_path / "models")[1].precision == precision
