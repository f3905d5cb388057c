"""What lies where in a model repository."""

from pathlib import Path

import pytest

from artifact.layout import (
    check_name,
    next_version,
    read_version,
    version_folders,
    written_version,
)
from imaging.refusal import RefusedError


def test_versions_are_numbers_as_they_are_written_and_come_in_their_order(tmp_path: Path) -> None:
    for name in ("2", "10", "1", "01", "0", "-3", "3 ", "1.5", ".orbitserve-7", "notes", "\u0663"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file is no version")
    assert [folder.name for folder in version_folders(tmp_path)] == ["1", "2", "10"]
    (tmp_path / "12").symlink_to("nowhere")
    assert next_version(tmp_path) == 13  # neither gives way to a folder
    assert next_version(tmp_path / "nobody") == 1


def test_after_the_greatest_version_there_is_none(tmp_path: Path) -> None:
    """It was written under a number that no service reads, and called done."""
    (tmp_path / ("9" * 15)).mkdir()
    with pytest.raises(RefusedError, match=r"has a version 9{15}, after which there is no number"):
        next_version(tmp_path)


@pytest.mark.parametrize("text", ["", "0", "01", "+1", "1\n", "1e3", "9" * 16])
def test_what_is_no_version_is_none(text: str) -> None:
    assert read_version(text) is None
    assert read_version("9" * 15) == 10**15 - 1


@pytest.mark.parametrize("name", ["", "A", ".hidden", "a/b", "a b", "a\n", "-x"])
def test_a_name_that_no_model_may_have_is_refused(name: str) -> None:
    check_name("my-parts_2.int8")
    with pytest.raises(RefusedError, match="names no model"):
        check_name(name)


def test_a_name_that_no_folder_may_have_is_refused() -> None:
    check_name("a" * 200)
    with pytest.raises(RefusedError, match="A name of 300 characters is no model's; at most 200"):
        check_name("a" * 300)


def test_a_version_appears_whole(tmp_path: Path) -> None:
    model = tmp_path / "parts"
    with written_version(model, 3) as aside:
        (aside / "model.onnx").write_bytes(b"")
        assert version_folders(model) == []
    assert [path.name for path in model.iterdir()] == ["3"]
    assert (model / "3").stat().st_mode & 0o777 == 0o755


def test_of_a_version_that_is_interrupted_nothing_is_left(tmp_path: Path) -> None:
    def interrupted() -> None:
        with written_version(tmp_path, 1) as aside:
            (aside / "model.onnx").write_bytes(b"")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_a_version_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(b"served")

    def again() -> None:
        with written_version(tmp_path, 1):
            pass

    with pytest.raises(OSError, match="not empty"):
        again()
    assert (tmp_path / "1" / "model.onnx").read_bytes() == b"served"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
