"""Every command takes repository, default model and device from the same variables."""

from pathlib import Path

import pytest

from imaging import RefusedError

CLASSES = "0,1,2,3,4,5,6,7,8,9"
SHIPPED = Path("model_repository")


@pytest.fixture
def alone(tmp_path):
    """A repository with one model."""
    repository = tmp_path / "alone"
    repository.mkdir()
    (repository / "rotmnist-cnn").symlink_to((SHIPPED / "rotmnist-cnn").resolve())
    return repository


@pytest.fixture
def environment(monkeypatch):
    """Set variables of the project, and no proof, which takes time here."""

    def set_variables(**values):
        for name, value in {"PROOF": "off", **values}.items():
            monkeypatch.setenv(f"ORBITSERVE_{name}", str(value))

    set_variables()
    return set_variables


@pytest.fixture
def opened(monkeypatch):
    """The names of versions that were looked for, none of which is opened."""
    from service.repository import local

    found = []

    def load(folder, *_arguments, **_options):
        found.append("/".join(folder.parts[-2:]))
        raise local.ModelRejectedError("Enough is seen.")

    monkeypatch.setattr(local, "load_version", load)
    return found


COMMANDS = (
    ["classify", "examples/seven.png"],
    ["audit"],
    ["evaluate"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_repository_with_one_model_needs_no_name(run, alone, environment, opened, command):
    assert run(*command, "--repository", alone)[0] == 3
    environment(REPOSITORY=alone)
    assert run(*command)[0] == 3
    assert opened == ["rotmnist-cnn/1"] * 2


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_default_model_is_the_one_that_is_set(run, environment, opened, command):
    environment(DEFAULT_MODEL="rotmnist-cnn")
    run(*command)
    assert opened == ["rotmnist-cnn/1"]


def test_a_name_precedes_the_default(run, environment, opened):
    environment(DEFAULT_MODEL="rotmnist-cnn")
    run("classify", "examples/seven.png", "--model", "rotmnist-c8")
    run("audit", "rotmnist-c8")
    assert opened == ["rotmnist-c8/1"] * 2


@pytest.mark.parametrize(
    "command",
    [
        ["classify", "examples/seven.png", "--model", "nobody"],
        ["audit", "nobody"],
        ["evaluate", "nobody"],
        ["compare", "nobody", "rotmnist-cnn"],
        ["sign", "nobody", "--private-key", "signer.pem"],
        ["pack", "nobody", "--output", "nowhere"],
    ],
    ids=lambda command: command[0],
)
def test_who_names_no_model_is_told_which_there_are(run, alone, environment, command):
    environment(REPOSITORY=alone)
    code, out, err = run(*command)
    assert (code, out) == (3, "")
    assert "has no model 'nobody'; the models are rotmnist-cnn." in err


@pytest.mark.parametrize(
    "command",
    [*COMMANDS, ["compare", "rotmnist-c4", "rotmnist-c8"]],
    ids=lambda command: command[0],
)
def test_the_device_is_the_one_that_is_set_unless_one_is_asked_for(
    run, environment, opened, command
):
    environment(DEVICE="abacus")
    code, _, err = run(*command)
    assert (code, "ORBITSERVE_DEVICE is 'abacus'" in err) == (3, True)
    assert opened == []
    run(*command, "--device", "cpu")
    assert len(opened) == 1


def test_a_network_is_trained_on_the_device_that_is_set(run, environment):
    environment(DEVICE="abacus")
    code, _, err = run("train", "rotmnist-c4", "--data", "no-such-folder")
    assert (code, "abacus" in err) == (3, True)
    assert "abacus" not in run("train", "rotmnist-c4", "--data", "no-such", "--device", "cpu")[2]


def test_an_export_goes_to_the_repository_that_is_set(run, environment, tmp_path):
    environment(REPOSITORY=tmp_path / "ours")
    assert f"{tmp_path}/ours has no fp32" in run("export", "x", "--precision", "int8")[2]
    told = run("export", "x", "--precision", "int8", "--repository", tmp_path / "asked")[2]
    assert f"{tmp_path}/asked has no fp32" in told


def test_an_import_goes_to_the_repository_that_is_set(run, environment, tmp_path, monkeypatch):
    from export.onnx_import import importer

    asked = []

    def into(_request, repository, _progress):
        asked.append(repository)
        raise RefusedError("Enough is seen.")

    monkeypatch.setattr(importer, "import_onnx", into)
    environment(REPOSITORY=tmp_path / "ours")
    words = ["import", SHIPPED / "rotmnist-cnn/1/model.onnx", "--name", "x", "--classes", CLASSES]
    words += ["--audit-images", "examples"]
    assert run(*words)[0] == run(*words, "--repository", tmp_path / "asked")[0] == 3
    assert asked == [tmp_path / "ours", tmp_path / "asked"]
