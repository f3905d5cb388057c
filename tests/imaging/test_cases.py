"""Files that were once answered wrong; beside each is what a right reader shows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imaging import ImageError, decode

FILES = sorted((Path(__file__).parent / "data").iterdir())
CASES = [path for path in FILES if ".expected" not in path.name]
# What is damaged has no expected picture.
READ = [path for path in CASES if path.with_suffix(".expected.png") in FILES]


def test_a_file_is_read_as_expected() -> None:
    for path in READ:
        shown = Image.open(path.with_suffix(".expected.png")).convert("RGB")
        assert np.array_equal(decode(path.read_bytes(), 3), np.moveaxis(np.asarray(shown), -1, 0))


def test_a_damaged_file_is_refused() -> None:
    for path in sorted(set(CASES) - set(READ)):
        with pytest.raises(ImageError) as refusal:
            decode(path.read_bytes(), 3)
        assert refusal.value.reason == "broken"


def test_there_are_files_of_both_kinds() -> None:
    assert len(READ) == 6
    assert len(CASES) == 8
