"""`orbitserve pack`: what is in the image and on it, and what is refused."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from artifact.card import load_card
from service.repository import packing
from service.repository.folder import check_files
from tests.artifact.layouts import entries, read_layout
from tests.disks import largest_file
from tests.service.signing import make_key

VERSION = Path("model_repository/rotmnist-c4-int8/1")
PLACE = "models/rotmnist-c4-int8/1"


@pytest.fixture
def repository(tmp_path):
    """A copy of one version, with files beside it that are not part of it."""
    copy = tmp_path / "repository" / "rotmnist-c4-int8" / "1"
    shutil.copytree(VERSION, copy, copy_function=shutil.copyfile)
    (copy / "notes.txt").write_text("of somebody")
    return tmp_path / "repository"


@pytest.fixture
def refused(run, tmp_path):
    """See that it is refused in one sentence with status 3, and that nothing is left."""

    def call(*arguments, output=tmp_path / "image"):
        before = sorted(tmp_path.rglob("*"))
        status, out, err = run("pack", *arguments, "--output", output)
        assert (status, out, err.count("\n")) == (3, "", 1)
        assert "defect" not in err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return call


def test_the_image_holds_the_version_and_says_what_it_is(run, repository, tmp_path):
    status, out, _ = run("pack", "rotmnist-c4-int8", "--output", tmp_path / "image")
    digest, manifest, config = read_layout(tmp_path / "image")
    assert (status, out) == (0, f"{tmp_path}/image: rotmnist-c4-int8/1 as {digest}\n")
    found = {
        name: data for name, (entry, data) in entries(tmp_path / "image").items() if entry.isfile()
    }
    assert found == {f"{PLACE}/{path.name}": path.read_bytes() for path in VERSION.iterdir()}
    assert config["rootfs"]["type"] == "layers"
    said, card = manifest["annotations"], load_card(VERSION / "card.json")
    for name, file in [("model", "model.onnx"), ("card", "card.json"), ("audit-set", "audit.npz")]:
        due = hashlib.sha256((VERSION / file).read_bytes()).hexdigest()
        assert said[f"orbitserve.{name}"] == f"sha256:{due}"
    assert said["orbitserve.audit-set.licence"] == card.audit_set.licence
    assert said["orbitserve.proof"] == "PROVED over C4"
    assert said["orbitserve.proof.exact-bits"] == "true"
    assert said["org.opencontainers.image.version"] == "1"
    assert "orbitserve.signature" not in said
    # The same files elsewhere, of another day, with others beside them.
    again = ["pack", "rotmnist-c4-int8/1", "--repository", repository]
    assert run(*again, "--output", tmp_path / "again")[1].endswith(f" as {digest}\n")


def test_how_files_may_be_read_here_is_not_how_they_are_in_the_image(run, repository, tmp_path):
    """Of another user's container too: user 10001, or whatever a cluster takes."""
    folder = repository / "rotmnist-c4-int8" / "1"
    _, out, _ = run("pack", "rotmnist-c4-int8", "--output", tmp_path / "image")
    folder.joinpath("model.onnx").chmod(0o600)
    audit_set = folder / "audit.npz"
    audit_set.rename(tmp_path / "elsewhere.npz")
    audit_set.symlink_to(tmp_path / "elsewhere.npz")
    before = os.umask(0o077)
    try:
        packed = run(
            "pack", "rotmnist-c4-int8", "--repository", repository, "--output", tmp_path / "again"
        )
    finally:
        os.umask(before)
    assert packed[1].split()[-1] == out.split()[-1]
    for entry, _ in entries(tmp_path / "again").values():
        assert entry.isdir() or entry.isfile()
        assert entry.mode == (0o755 if entry.isdir() else 0o644)
        assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0)


def test_a_network_without_a_proof_says_so(run, tmp_path):
    assert run("pack", "rotmnist-cnn", "--output", tmp_path / "image")[0] == 0
    said = read_layout(tmp_path / "image")[1]["annotations"]
    assert said["orbitserve.proof"] == "none"
    assert "orbitserve.proof.exact-bits" not in said


def test_a_signature_goes_along_and_is_asked_for_where_the_settings_do(
    run, refused, repository, tmp_path, monkeypatch
):
    pytest.importorskip("model_signing")
    ours, theirs = make_key(tmp_path, "ours"), make_key(tmp_path, "theirs")
    packed = ["rotmnist-c4-int8", "--repository", repository]
    monkeypatch.setenv("ORBITSERVE_PUBLIC_KEY", str(ours.public))
    assert "model.sig" in refused(*packed)
    assert run("sign", *packed, "--private-key", theirs.private)[0] == 0
    assert "model.sig is not a valid signature by the key" in refused(*packed)
    assert run("sign", *packed, "--private-key", ours.private)[0] == 0
    assert run("pack", *packed, "--output", tmp_path / "image")[0] == 0
    signature = (repository / "rotmnist-c4-int8" / "1" / "model.sig").read_bytes()
    assert entries(tmp_path / "image")[f"{PLACE}/model.sig"][1] == signature
    said = read_layout(tmp_path / "image")[1]["annotations"]
    assert json.loads(said["orbitserve.signature"]) == json.loads(signature)


def test_the_signature_that_was_verified_is_the_one_that_is_packed(
    run, repository, tmp_path, monkeypatch
):
    """It was read once to be verified, and again to be packed."""
    pytest.importorskip("model_signing")
    from service.signatures import openssf

    ours, theirs = make_key(tmp_path, "ours"), make_key(tmp_path, "theirs")
    packed, image = ["rotmnist-c4-int8", "--repository", repository], tmp_path / "image"
    signature = repository / "rotmnist-c4-int8" / "1" / "model.sig"
    contents = []
    for key in (ours, theirs):
        assert run("sign", *packed, "--private-key", key.private)[0] == 0
        contents.append(signature.read_bytes())
    monkeypatch.setenv("ORBITSERVE_PUBLIC_KEY", str(ours.public))

    def exchanging(path, most, read=packing.read_file):
        if path.name == "model.sig":
            signature.write_bytes(contents.pop(0))  # first ours, later theirs
        return read(path, most)

    for module in (packing, openssf):
        monkeypatch.setattr(module, "read_file", exchanging)
    assert run("pack", *packed, "--output", image)[0] == 0
    assert len(contents) == 1
    assert entries(image)[f"{PLACE}/model.sig"][1] == signature.read_bytes()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("nobody", "has no model 'nobody'; the models are rotmnist-c4-int8."),
        ("rotmnist-c4-int8/7", "has no version '7'"),
        ("../rotmnist-c4-int8", "has no model '../rotmnist-c4-int8'"),
    ],
)
def test_a_model_that_is_not_there_is_told_with_those_that_are(refused, repository, model, reason):
    assert reason in refused(model, "--repository", repository)


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "audit.npz"])
def test_a_version_that_is_not_what_its_card_says_is_not_packed(refused, repository, name):
    file = repository / "rotmnist-c4-int8" / "1" / name
    file.write_bytes(file.read_bytes()[:-9])
    assert name in refused("rotmnist-c4-int8", "--repository", repository)
    file.unlink()
    assert name in refused("rotmnist-c4-int8", "--repository", repository)


def test_a_file_that_changes_after_it_was_checked_is_not_packed(refused, repository, monkeypatch):
    card = repository / "rotmnist-c4-int8" / "1" / "card.json"

    def checked(folder):
        digests = check_files(folder)
        card.write_bytes(card.read_bytes() + b" ")
        return digests

    monkeypatch.setattr("service.repository.local.check_files", checked)
    said = refused("rotmnist-c4-int8", "--repository", repository)
    assert "card.json changed while it was read; try again." in said


def test_what_is_there_is_not_written_over(refused, repository, tmp_path):
    (tmp_path / "file").write_text("mine")
    asked = ["rotmnist-c4-int8", "--repository", repository]
    assert "is not empty" in refused(*asked, output=repository)
    assert "is no folder" in refused(*asked, output=tmp_path / "file")
    assert "cannot be used" in refused(*asked, output=tmp_path / "file" / "image")


def test_a_folder_that_nothing_can_take_the_place_of_is_refused(refused, tmp_path, monkeypatch):
    repository = ["--repository", Path("model_repository").absolute()]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in (".", tmp_path / "here"):
        said = refused("rotmnist-c4-int8", *repository, output=output)
        assert "a new one in it is accepted." in said
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == mounted)
    said = refused("rotmnist-c4-int8", *repository, output=mounted)
    assert f"{mounted} cannot be replaced, as a disk is mounted there" in said


def test_a_disk_that_is_full_is_named_and_keeps_nothing(refused, repository, tmp_path):
    with largest_file(100_000):
        said = refused("rotmnist-c4-int8", "--repository", repository)
    assert said == f"orbitserve: {tmp_path / 'image'} cannot be used: File too large.\n"


def test_a_signature_that_cannot_be_read_is_not_left_out(refused, repository):
    signature = repository / "rotmnist-c4-int8" / "1" / "model.sig"
    signature.symlink_to("nowhere")
    assert "model.sig cannot be read" in refused("rotmnist-c4-int8", "--repository", repository)
