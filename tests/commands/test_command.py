"""The `orbitserve` command on the models that ship with the project."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from artifact.audit_set import load_audit_set
from service.settings import Settings

COMMANDS = ["data", "train", "export", "import", "serve", "classify", "audit", "prove"]
COMMANDS += ["pack", "sign", "compare", "evaluate", "verify"]
CNN = "model_repository/rotmnist-cnn/1"
IMPORT = ["import", f"{CNN}/model.onnx", "--name", "x", "--classes", "0,1,2,3,4,5,6,7,8,9"]
IMPORT += ["--audit-images", f"{CNN}/audit.npz"]


@pytest.fixture
def digits(tmp_path):
    """A folder with upright and rotated PNGs of three digits of the bundled audit set."""
    images = load_audit_set(Path("model_repository/rotmnist-c4/1/audit.npz")).images
    for i in range(3):
        for turns in range(4):
            picture = Image.fromarray(np.rot90(images[i, 0], turns))
            picture.save(tmp_path / f"{i}-{turns}.png")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_an_example(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert f"Example: orbitserve {command}" in out


def test_a_list_of_the_commands_imports_no_room():
    program = (
        "import sys; sys.argv[1:] = ['--help']; import orbitserve\n"
        "try: orbitserve.main()\n"
        "finally: print({'numpy', 'pydantic', 'onnxruntime', 'torch', 'rich'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Commands:" in done.stdout
    assert done.stdout.endswith("set()\n"), done.stdout


def test_every_setting_of_the_service_is_an_option_of_serve(run, monkeypatch):
    asked, expected = ["serve"], {}
    for name, field in Settings.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        if field.annotation is bool:
            asked.append(option)
            expected[name] = True
        else:
            asked += [option, name]
            expected[name] = name
    seen = {}
    monkeypatch.setattr("service.environment.read_settings", seen.update)
    monkeypatch.setattr("service.environment.check_who_may_call", lambda settings: None)
    monkeypatch.setattr("service.server.serve", lambda settings: None)
    status, _, err = run(*asked)
    assert (status, err) == (0, "")
    assert seen == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_no_words_of_the_program(run, command):
    _, out, _ = run(command, "--help")
    assert not re.search(r"typing|Annotated|FieldInfo|default: \(\)", out)


def test_the_help_of_serve_says_of_each_option_what_it_is(run):
    _, out, _ = run("serve", "--help")
    helped = " ".join(out.split())
    for field in Settings.model_fields.values():
        assert field.description
        assert field.description.split(";")[0].split(",")[0] in helped


@pytest.mark.slow
@pytest.mark.parametrize(("model", "status"), [("rotmnist-c4", 0), ("rotmnist-cnn", 1)])
def test_the_audit_tells_the_shipped_models_apart(run, model, status):
    code, out, _ = run("audit", model, "--json")
    report = json.loads(out)
    assert code == status
    assert report["verdict"] == ("PASS" if status == 0 else "FAIL")
    assert next(iter(report)) == "verdict"
    assert report["self_test"]["mutant"] == "FAIL"


def test_an_audit_of_few_images_is_inconclusive(run, digits):
    code, out, _ = run("audit", "rotmnist-c4", "--images", digits)
    assert code == 2
    assert out.startswith("INCONCLUSIVE")
    assert "too few" in out


@pytest.mark.slow
def test_an_audit_at_angles_and_at_every_angle(run, digits):
    options = [
        "--angles",
        8,
        "--seed",
        1,
        "--exhaustive-angles",
        "--exhaustive-images",
        1,
        "--json",
    ]
    code, out, _ = run("audit", "rotmnist-c4", "--images", digits, *options)
    report = json.loads(out)
    assert code == 2
    assert report["angles"]["sampling"]["seed"] == 1
    assert len(report["angles"]["figures"]["curve"]) == 8
    assert report["angles"]["self_test"]["mutant"] == "FAIL"
    assert report["exhaustive_angles"]["by_symmetry"]
    assert report["exhaustive_angles"]["quarter_intervals"] == 2724
    (image,) = report["exhaustive_angles"]["images"]
    assert image["constant"]


def test_rotated_files_are_classified_alike(run, digits):
    code, out, _ = run("classify", digits)
    rows = [line.split("  ") for line in out.splitlines()]
    assert code == 0
    assert len(rows) == 12
    for i in range(3):
        assert len({label for _, label, path in rows if f"/{i}-" in path}) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["audit", "--no-such-option"], "No such option"),
        (["audit", "nobody"], "has no model 'nobody'"),
        (
            ["audit", "rotmnist-c4/999"],
            "has no version '999' of 'rotmnist-c4'; the versions are 1.",
        ),
        (["audit", "--group", "C3"], "C3"),
        (["audit", "--angles", "4"], "greater than or equal to 8"),
        (["audit", "--angles", "36", "--resampler", "lanczos"], "lanczos"),
        (["audit", "--images", "no-such-folder"], "There is no no-such-folder"),
        (["audit", "--device", "cuda-not"], "ORBITSERVE_DEVICE"),
        (["audit", "--images", "commands"], "There are no images in commands"),
        (["classify", "nowhere.png"], "There is no nowhere.png"),
        (["compare", "rotmnist-c4", "rotmnist-c8", "--language", "fr"], "'fr' is not one of"),
        (["serve", "--port", "http"], "The setting ORBITSERVE_PORT is 'http'"),
        (["serve", "--log-level", "loud"], "The setting ORBITSERVE_LOG_LEVEL is 'loud'"),
        (["serve", "--prot", "8000"], "No such option"),
        (["train", "nobody"], "the networks are rotmnist-c4"),
        (["train", "rotmnist-c4", "--white-level", "4095"], "is for a folder of images"),
        (["train", "docs", "--white-level", "255"], "256 to 65535 are accepted"),
        ([*IMPORT, "--white-level", "65536"], "256 to 65535 are accepted"),
        (["train", "rotmnist-c4", "--data", "no-such-folder"], "make data"),
        (["export", "nobody"], "is not the folder of a run"),
        (["import", "nobody.onnx"], "Missing option"),
        ([*IMPORT, "--group", "C4"], "is not proved over C4"),
        ([*IMPORT, "--input-scale", "1/255"], "is uint8"),
        ([*IMPORT, "--std", "0.5"], "go with --input-scale"),
        (["data", "--source", "docs"], "has no train-images-idx3-ubyte"),
    ],
)
def test_what_is_refused_is_one_sentence_and_status_3(run, arguments, sentence, tmp_path):
    code, out, err = run(*arguments)
    assert (code, out) == (3, "")
    assert err.startswith("orbitserve: ")
    assert sentence in err
    assert err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_training_on_a_gpu_that_is_not_there_is_refused(run):
    code, out, err = run("train", "rotmnist-c4", "--device", "cuda")
    assert (code, out) == (3, "")
    assert "sees no NVIDIA GPU" in err
    assert err.count("\n") == 1
