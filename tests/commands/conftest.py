"""The `orbitserve` command, called in this process."""

import json
import sys
import unicodedata
from functools import cache
from pathlib import Path

import onnx
import pytest
import typer
from PIL import Image

import orbitserve
from artifact.audit_set import load_audit_set

MODEL = "model_repository/rotmnist-c4-int8/1"
NAMES = ["不良", "Näh te", "=cmd", "gut", "4", "5", "6", "7", "8", "9"]


_command = cache(typer.main.get_command)


def get_command(app):
    """The command, made once; but what runs it is bound anew, to what a test has put there."""
    made = _command(app)
    for each in getattr(made, "commands", {}).values():
        vars(each).pop("_loaded", None)
    return made


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs the command and returns its status and what it printed."""

    monkeypatch.setattr("typer.main.get_command", get_command)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["orbitserve", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            orbitserve.main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def named(tmp_path_factory):
    """A model whose classes have names of people."""
    model = onnx.load(f"{MODEL}/model.onnx")
    for entry in model.metadata_props:
        if entry.key == "classes":
            entry.value = json.dumps(NAMES)
    path = tmp_path_factory.mktemp("named") / "parts.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def names():
    """Names that people give to classes: of any script, with spaces, like formulas."""
    return NAMES


@pytest.fixture
def parts(tmp_path):
    """Write the first forty digits into folders of these names, and return where they are."""

    def write(names, deep=False, form="NFC"):
        audit_set = load_audit_set(Path(MODEL) / "audit.npz")
        for i, (image, label) in enumerate(
            zip(audit_set.images[:40], audit_set.labels[:40], strict=True)
        ):
            folder = tmp_path / "parts" / unicodedata.normalize(form, names[label])
            folder = folder / f"part {i % 3}" if deep else folder
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(folder / f"{i:02}.png")
        (tmp_path / "parts" / ".DS_Store").write_bytes(b"Mac OS X")
        return tmp_path / "parts"

    return write
