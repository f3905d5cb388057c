"""Digits as files and as a table, and the command in this process."""

import io
import sys
from pathlib import Path

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

import orbitserve
from artifact.audit_set import load_audit_set

DIGITS = Path("model_repository/rotmnist-c4-int8/1/audit.npz")


def png(image):
    """A picture's file."""
    file = io.BytesIO()
    Image.fromarray(image[0]).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def digits():
    """The first 150 digits."""
    return load_audit_set(DIGITS).spread(150)


@pytest.fixture(scope="session")
def contents(digits):
    """Their files."""
    return [png(image) for image in digits.images]


@pytest.fixture
def folder(tmp_path, digits, contents):
    """A folder of them, in sub-folders of their classes."""
    for i, (content, label) in enumerate(zip(contents, digits.labels, strict=True)):
        path = tmp_path / "digits" / str(label) / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "digits"


@pytest.fixture
def write_table(tmp_path):
    """Return a function that writes a Parquet file of columns, and returns where it is."""

    def write(columns, rows_in_a_group=40, name="digits.parquet"):
        path = tmp_path / name
        parquet.write_table(pyarrow.table(columns), path, row_group_size=rows_in_a_group)
        return path

    return write


@pytest.fixture
def run(monkeypatch, capfd):
    """Return a function that runs the command and returns its status and what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["orbitserve", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            orbitserve.main()
        printed = capfd.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return call
