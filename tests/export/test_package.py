import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from artifact.card import load_card
from audit import RefusedError
from export import publish as publishing
from export.graph import to_onnx
from export.package import ParityError, measure_parity, package
from models.checkpoint import Run
from models.networks import Network
from models.run_info import Result
from tests.digests import sha256_file

pytestmark = pytest.mark.slow


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_run_becomes_a_version(repository):
    folder = repository / "toy" / "1"
    assert files(repository) == [
        "toy",
        "toy/1",
        "toy/1/audit.npz",
        "toy/1/card.json",
        "toy/1/model.onnx",
    ]
    card = load_card(folder / "card.json")
    assert card.sha256 == sha256_file(folder / "model.onnx")
    assert card.audit_set.sha256 == sha256_file(folder / "audit.npz")
    assert load_audit_set(folder / "audit.npz").images.shape == (512, 1, 12, 12)
    assert card.audit.verdict != "FAIL"
    assert card.audit.max_logit_deviation < 1e-5
    assert 0 < card.parity.max_abs_logits <= 1e-5
    assert card.metrics["test"].error_percent == 66.0
    # 25 taps to 12 channels; 9 taps, 12 -> 16; 4 taps, 16 -> 16; biases; 4 features -> 3 classes.
    assert card.size.baked_parameters == 25 * 12 + 9 * 12 * 16 + 4 * 16 * 16 + 44 + 4 * 3 + 3
    assert card.input.white_level == 4095


def test_two_exports_at_once_are_two_versions(finished_run, tmp_path):
    """Measuring takes minutes, and its number was gone when it was written."""
    first = tmp_path / "repository" / "toy" / "1"

    def another_comes(stage, done, total):
        if stage == "auditing":
            first.mkdir(parents=True, exist_ok=True)
            (first / "card.json").touch()

    folder = package(finished_run("trivial"), tmp_path / "repository", "toy", another_comes)
    assert folder == first.parent / "2"
    assert load_card(folder / "card.json").version == 2


def test_a_run_that_ends_anew_meanwhile_gives_no_error_of_other_weights(
    finished_run, tmp_path, monkeypatch
):
    run, ended = finished_run("trivial"), Run.result

    def with_other_weights(self):
        self.keep(Network(self.info.network))
        self.finish(Result(test_error_percent=1.0, test_count=9), self.audit_set())
        return ended(self)

    monkeypatch.setattr(Run, "result", with_other_weights)
    with pytest.raises(RefusedError, match="is being trained"):
        package(run, tmp_path / "repository", "toy")
    assert not (tmp_path / "repository").exists()


def test_probabilities_that_are_not_those_of_the_logits_are_not_published(
    finished_run, tmp_path, monkeypatch
):
    def with_constant_probabilities(*given):
        model = to_onnx(*given)
        made = next(node for node in model.graph.node if "probabilities" in node.output)
        made.input[0] = "nothing"
        nothing = onnx.helper.make_node("Sub", ["logits", "logits"], ["nothing"])
        model.graph.node.insert(list(model.graph.node).index(made), nothing)
        return model

    monkeypatch.setattr("export.package.to_onnx", with_constant_probabilities)
    with pytest.raises(RefusedError, match=r"not the softmax of its logits: .*was published"):
        package(finished_run("trivial"), tmp_path / "repository", "toy")
    assert not list((tmp_path / "repository").rglob("*.onnx"))


def test_an_audit_set_of_another_run_is_a_sentence(finished_run, tmp_path):
    run = finished_run("trivial")
    images = np.zeros((8, 1, 12, 10), np.uint8)
    save_audit_set(run.folder / "audit.npz", AuditSet(images, np.arange(8) % 3))
    with pytest.raises(RefusedError, match=r"\[1, 12, 10\], and its network takes \[1, 12, 12\]"):
        package(run, tmp_path / "repository", "toy")


@pytest.mark.slow
def test_a_network_without_symmetry_says_so_on_its_card(finished_run, repository):
    first = repository / "toy" / "1" / "model.onnx"
    before = first.read_bytes()
    folder = package(finished_run("trivial"), repository, "toy")
    assert folder == repository / "toy" / "2"
    assert first.read_bytes() == before
    card = json.loads((folder / "card.json").read_text())
    assert (card["group"], card["audit"]["group"], card["audit"]["verdict"]) == (
        "trivial",
        "C4",
        "FAIL",
    )


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_refused_and_leaves_nothing(
    finished_run, tmp_path, monkeypatch
):
    run, repository = finished_run("C4"), tmp_path / "repository"
    folder = package(run, repository, "toy")
    model = (folder / "model.onnx").read_bytes()
    network = run.network()
    with torch.no_grad():
        network.head.bias[1] += 2e-5
    with pytest.raises(ParityError, match="nothing was packaged"):
        measure_parity(network, model, run.audit_set().images)
    with torch.no_grad():
        network.head.bias[1] = torch.nan
    with pytest.raises(ParityError, match="network's by nan"):
        measure_parity(network, model, run.audit_set().images)

    monkeypatch.setattr("export.package.MAX_PARITY", 0.0)
    with pytest.raises(ParityError):
        package(run, repository, "other")
    assert not (repository / "other").exists()


@pytest.mark.slow
def test_an_interrupted_packaging_leaves_no_version(finished_run, exported, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("export.package.to_onnx", lambda *_: exported("C4"))
    monkeypatch.setattr("export.publish.save_audit_set", interrupted)
    with pytest.raises(KeyboardInterrupt):
        package(finished_run("C4"), tmp_path / "repository", "toy")
    assert files(tmp_path / "repository") == ["toy"]


@pytest.mark.slow
def test_a_version_that_comes_while_another_is_written_takes_no_place_from_it(
    finished_run, exported, tmp_path, monkeypatch
):
    written = publishing._write

    def slowly(candidate, card, folder):
        written(candidate, card, folder)
        place = tmp_path / "repository" / "toy" / "1"
        if not place.exists():
            shutil.copytree(folder, place)

    monkeypatch.setattr("export.package.to_onnx", lambda *_: exported("C4"))
    monkeypatch.setattr(publishing, "_write", slowly)
    folder = package(finished_run("C4"), tmp_path / "repository", "toy")
    assert folder.name == "2"
    assert json.loads((folder / "card.json").read_text())["version"] == 2


@pytest.mark.parametrize("name", ["", "../toy", "Toy", "a/b", ".hidden"])
def test_names_that_are_no_folders_are_refused(finished_run, tmp_path, name):
    with pytest.raises(ValueError, match="names no model"):
        package(finished_run("C4"), tmp_path / "repository", name)
