import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from artifact.card import (
    AuditSetInfo,
    Card,
    InputSpec,
    Training,
    load_card,
)
from artifact.figures import (
    AuditFigures,
    Metric,
    NetworkSize,
    Parity,
    ProofFigures,
)
from artifact.identity import ModelIdentity
from artifact.values import Interval
from imaging import FitPolicy
from imaging.refusal import RefusedError

AUDIT = AuditFigures(
    group="C4",
    images=400,
    verdict="PASS",
    label_agreement=1.0,
    agreement_interval=Interval(0.99, 1.0),
    max_logit_deviation=0.0,
    max_probability_deviation=0.0,
    noise_floor=0.0,
)
PROOF = ProofFigures(
    outcome="PROVED", subgroup="C4", exact_bits=False, arithmetic="float", residual=None
)


@pytest.fixture
def card() -> Card:
    return Card(
        name="rotmnist-c4",
        version=1,
        description="Digits at any angle.",
        group="C4",
        precision="fp32",
        classes=tuple("0123456789"),
        input=InputSpec(channels=1, fit=FitPolicy(28, "crop", fill=7)),
        sha256="ab" * 32,
        parity=Parity(max_abs_logits=3e-6, images=512, runtime="onnxruntime"),
        metrics={"test": Metric(error_percent=1.45, count=50_000, data_set="rotated MNIST")},
        size=NetworkSize(free_parameters=1, baked_parameters=4, multiply_adds=9),
        audit_set=AuditSetInfo(sha256="cd" * 32, count=400, source="noise", licence="CC0"),
        audit=AUDIT,
        training=Training(
            data_set="rotated MNIST", data_sha256="ef", recipe={"lr": 0.01}, seed=0, epochs=30
        ),
    )


def test_a_card_reads_back_as_it_was_written(card: Card, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(card.model_dump_json(indent=2))
    loaded = load_card(path)
    assert loaded == card
    assert loaded.input.fit == FitPolicy(28, "crop", fill=7)
    assert loaded.model_dump_json(indent=2) == card.model_dump_json(indent=2)


def test_a_card_that_has_the_licence_twice_is_read(card: Card, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(json.loads(card.model_dump_json()) | {"data_licence": "CC0"}))
    assert load_card(path) == card


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("audit", "images"), -1),
        (("audit", "label_agreement"), 1.5),
        (("audit", "agreement_interval"), {"low": 0.9, "high": 0.1}),
        (("audit", "max_logit_deviation"), -1.0),
        (("audit", "noise_floor"), -1.0),
        (("audit_set", "count"), -1),
        (("metrics", "test", "error_percent"), 101.0),
        (("metrics", "test", "count"), -1),
        (("parity", "max_abs_logits"), -1.0),
        (("size", "multiply_adds"), -1),
        (("training", "epochs"), -1),
    ],
)
def test_numbers_that_nothing_measures_are_refused(
    card: Card, tmp_path: Path, place: tuple[str, ...], value: Any
) -> None:
    document = json.loads(card.model_dump_json())
    *outer, name = place
    inner = document
    for key in outer:
        inner = inner[key]
    inner[name] = value
    path = tmp_path / "card.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RefusedError, match=rf"{name}") as refusal:
        load_card(path)
    assert str(refusal.value).count("\n") == 0


def test_the_file_spells_the_fit_policy_out(card: Card) -> None:
    written = json.loads(card.model_dump_json())
    assert written["input"] == {"channels": 1, "fit": {"size": 28, "mode": "crop", "fill": 7}}
    assert written["proof"] is None


def test_a_white_level_is_on_the_card_and_none_is_not(card: Card, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    stated = card.model_copy(
        update={"input": InputSpec(channels=1, fit=FitPolicy(28), white_level=4095)}
    )
    path.write_text(stated.model_dump_json())
    assert json.loads(path.read_text())["input"]["white_level"] == 4095
    assert load_card(path) == stated
    assert card.input.white_level is None
    assert "white_level" not in card.model_dump_json()


@pytest.mark.parametrize("path", sorted(Path("model_repository").glob("*/*/card.json")), ids=str)
def test_the_input_of_a_card_from_before_is_written_as_it_was(path: Path) -> None:
    written = json.loads(path.read_text())["input"]
    assert load_card(path).input.model_dump_json() == json.dumps(written, separators=(",", ":"))


def test_the_identity_is_that_of_the_card(card: Card) -> None:
    assert card.identity == ModelIdentity(
        name="rotmnist-c4",
        version=1,
        sha256="ab" * 32,
        group="C4",
        precision="fp32",
        classes=card.classes,
    )


def test_a_card_cannot_be_changed(card: Card) -> None:
    with pytest.raises(ValidationError):
        card.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 0),
        ("group", "E4"),
        ("precision", "fp8"),
        ("classes", []),
        ("sha256", "abc"),
        ("schema_version", 2),
        ("proof", "PROVED"),
        ("input.channels", 2),
        ("input.white_level", 255),
        ("input.white_level", 65536),
        ("input.fit.size", 0),
        ("input.fit.mode", "zoom"),
        ("input.fit.colour", "red"),
        ("parity.max_abs_logits", "NaN"),
        ("audit.verdict", "MAYBE"),
        ("audit.group", "C3 or so"),
        ("proof.subgroup", "C4\n"),
        ("surprise", 1),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(
    card: Card, tmp_path: Path, field: str, value: Any
) -> None:
    written = json.loads(card.model_copy(update={"proof": PROOF}).model_dump_json())
    *parents, name = field.split(".")
    place = written
    for parent in parents:
        place = place[parent]
    place[name] = value
    path = tmp_path / "card.json"
    path.write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"^The card .*card\.json is broken at ") as refusal:
        load_card(path)
    message = str(refusal.value)
    assert parents[-1] in message if parents else name in message
    assert "\n" not in message
    assert message.endswith(".")
    assert not message.endswith("..")


def test_a_name_that_is_there_twice_is_refused(card: Card, tmp_path: Path) -> None:
    """Readers differ in which of two values counts: what one looks at is not what is served."""
    path = tmp_path / "card.json"
    path.write_text(card.model_dump_json()[:-1] + ',"group":"C4"}')
    with pytest.raises(ValueError, match=r"card\.json is broken: it has 'group' twice\."):
        load_card(path)


def test_a_number_that_no_json_has_is_refused(tmp_path: Path) -> None:
    """Only in a recipe may anything stand; it came as `null` over HTTP."""
    text = Path("model_repository/rotmnist-cnn/1/card.json").read_text()
    path = tmp_path / "card.json"
    path.write_text(text.replace('"epochs": 60,', '"epochs": NaN,', 1))
    assert "NaN" in path.read_text()
    with pytest.raises(ValueError, match="it has NaN, which no JSON has"):
        load_card(path)


def test_a_missing_field_is_named(card: Card, tmp_path: Path) -> None:
    written = json.loads(card.model_dump_json())
    del written["classes"]
    path = tmp_path / "card.json"
    path.write_text(json.dumps(written))
    with pytest.raises(ValueError, match="broken at classes: Field required"):
        load_card(path)


@pytest.mark.parametrize("contents", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"card\.json is broken at the file: "):
        load_card(path)


def test_a_missing_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"card\.json cannot be read"):
        load_card(tmp_path / "card.json")
    with pytest.raises(ValueError, match="is a folder; a regular file is accepted"):
        load_card(tmp_path)
