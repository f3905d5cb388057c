"""A float32 version becomes versions of other precisions, measured beside it, or nothing."""

import shutil

import pytest

from artifact.card import load_card
from export.derive import (
    MAX_LOSS,
    AccuracyLossError,
    Source,
    _Converter,
    accepted_loss,
    derive,
    latest_float,
    read_precisions,
)
from export.publish import InexactError
from imaging import FitPolicy, RefusedError
from models.datasets.data_set import DataSet
from tests.digests import sha256_file

pytestmark = pytest.mark.slow


@pytest.fixture
def data(test_images):
    classes = ("a", "b", "c")
    split = test_images[:130]
    return DataSet("noise", classes, "none", "0" * 64, FitPolicy(12), test_images[:90], split)


@pytest.fixture
def source(repository, data, monkeypatch):
    monkeypatch.setattr("export.derive._ROUND_SECONDS", 0.01)
    return Source.open(latest_float(repository, "toy"), data)


def test_every_precision_becomes_a_model_of_its_own(repository, source):
    paths = list(derive(source, read_precisions("integer, qdq, fp16,int8"), repository))
    names = [f"toy-{precision}/1" for precision in ("fp16", "int8", "integer", "qdq")]
    assert [str(path.relative_to(repository)) for path in paths] == names
    half, int8, integer, qdq = (load_card(path / "card.json") for path in paths)
    assert half.conversion.counterpart is None
    assert int8.conversion.counterpart.bits_equal and integer.conversion.counterpart.bits_equal
    assert (
        int8.conversion.counterpart.sha256 == integer.sha256 == sha256_file(paths[2] / "model.onnx")
    )
    assert integer.conversion.counterpart.sha256 == int8.sha256
    assert qdq.conversion.counterpart.bits_equal
    assert qdq.conversion.counterpart.sha256 == int8.sha256
    for card in (half, int8, integer, qdq):
        assert card.conversion.source == source.card.identity
        assert card.metrics["test"].count == 130
        assert card.training == source.card.training
        assert card.conversion.speed.ratio > 0
        assert 0 < card.conversion.max_abs_logits < 1
        assert card.audit_set == source.card.audit_set
    assert [card.proof.exact_bits for card in (int8, integer, qdq)] == [True, True, False]
    for card in (int8, integer, qdq):
        assert card.exactness.exact and card.exactness.max_logit_deviation == 0
        assert card.audit.max_logit_deviation == 0
        assert card.conversion.calibration == "90 training images of noise and their orbits"


def test_a_precision_that_nothing_converts_to_is_refused(repository, source):
    with pytest.raises(RefusedError, match="Nothing converts a version of fp32 to bf16"):
        list(derive(source, ["bf16"], repository))
    assert not (repository / "toy-bf16").exists()


def test_a_precision_that_loses_accuracy_is_refused(repository, source, monkeypatch):
    monkeypatch.setattr("export.derive.MAX_LOSS", -100)
    with pytest.raises(AccuracyLossError, match="points more are accepted"):
        list(derive(source, ["int8"], repository))
    assert not (repository / "toy-int8").exists()


def test_one_image_of_a_small_test_set_may_be_lost():
    assert accepted_loss(50_000) == MAX_LOSS
    assert accepted_loss(1000) == MAX_LOSS
    assert 100 / 96 < accepted_loss(96) < 200 / 96


def test_a_file_whose_bits_depend_on_the_rotation_is_no_integer_version(
    repository, source, monkeypatch
):
    """The float32 file in place of the integer one: its sums run in another order when rotated."""
    floats = {"int8": source.model, "integer": source.model}
    monkeypatch.setattr(_Converter, "_integers", lambda _: floats)
    with pytest.raises(InexactError, match="none may change in a single bit"):
        list(derive(source, ["int8"], repository))
    assert not (repository / "toy-int8").exists()


def test_spellings_that_differ_are_refused(repository, source, monkeypatch):
    integers = _Converter._integers
    monkeypatch.setattr(
        _Converter, "_integers", lambda self: integers(self) | {"integer": source.model}
    )
    with pytest.raises(ValueError, match="give other logits on the test images"):
        list(derive(source, ["int8"], repository))
    assert not (repository / "toy-int8").exists()


def test_other_data_and_other_precisions_are_no_source(repository, source, data):
    other = DataSet(**{**vars(data), "sha256": "1" * 64})
    with pytest.raises(ValueError, match="was trained on other images than those of noise"):
        Source.open(latest_float(repository, "toy"), other)
    (path,) = derive(source, ["int8"], repository)
    with pytest.raises(ValueError, match="a version of fp32 is accepted"):
        Source.open(path, data)
    with pytest.raises(ValueError, match="has no fp32 version of 'toy-int8'"):
        latest_float(repository, "toy-int8")
    folder = latest_float(repository, "toy")
    images = folder / "audit.npz"
    whole = images.read_bytes()
    images.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"audit\.npz is not the file"):
        Source.open(folder, data)
    images.write_bytes(whole)
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(ValueError, match="is not the file that its card names"):
        Source.open(folder, data)


def test_the_latest_float_version_is_found_by_number(repository):
    for version in ("9", "10"):
        shutil.copytree(repository / "toy" / "1", repository / "toy" / version)
    assert latest_float(repository, "toy").name == "10"


@pytest.mark.parametrize("text", ["int4", "", "int8,,fp16"])
def test_names_of_no_precision_are_refused(text):
    with pytest.raises(ValueError, match="is no precision; fp32, fp16, int8, integer"):
        read_precisions(text)
