"""What onnxruntime is opened with tells nobody of it: a service calls nobody."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import ROOMS, ROOT

WHERE = ("artifact", "export", "service", "benchmarks")


def imports_onnxruntime(file: Path) -> bool:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if any(name.partition(".")[0] == "onnxruntime" for name in names):
            return True
    return False


def test_these_rooms_alone_import_it() -> None:
    files = [file for room in (*ROOMS, "benchmarks") for file in (ROOT / room).rglob("*.py")]
    found = {file.relative_to(ROOT).parts[0] for file in files if imports_onnxruntime(file)}
    assert found == {*WHERE}


@pytest.mark.parametrize("room", WHERE)
def test_nothing_is_kept_to_be_sent(room: str, tmp_path: Path) -> None:
    """Since 1.29 it keeps a database, and sends names and digests of the files that it opens."""
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    command = [sys.executable, "-c", f"import {room}, onnxruntime"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | places
    subprocess.run(command, env=environment, check=True)
    assert not [*tmp_path.iterdir()]
