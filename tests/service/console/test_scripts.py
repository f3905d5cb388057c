"""The console's scripts pass a linter and a checker of types."""

import shutil
import subprocess

import pytest

from tests.axe import TOOLS
from tests.service.console.conftest import ROOT, STATIC

pytestmark = pytest.mark.slow
HERE = TOOLS.parent


def run(tool: str, *options: object) -> None:
    program = TOOLS / ".bin" / tool
    if shutil.which("node") is None or not program.exists():
        pytest.skip(f"{tool} is not installed; `npm install` in tests/service/console brings it")
    done = subprocess.run([program, *map(str, options)], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types() -> None:
    run("tsc", "--project", HERE)


def test_style() -> None:
    run("eslint", "--max-warnings", 0, "--config", HERE / "eslint.config.js", STATIC)
