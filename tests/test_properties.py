"""A property that fails shows for what, in the suite as it is set up."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROPERTY = """
from hypothesis import given, strategies as st

@given(st.integers())
def test_all_numbers_are_small(number):
    assert number < 100
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_property_that_fails_shows_its_counterexample(tmp_path: Path, processes: str) -> None:
    """Plugins and warnings that are errors have hidden it before."""
    (tmp_path / "test_it.py").write_text(PROPERTY)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", processes]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1, done.stdout
    assert "number=100," in done.stdout
    assert "INTERNALERROR" not in done.stdout
