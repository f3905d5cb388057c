"""Files are written whole, or what was there before is left."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from imaging.writing import temporary_file, write_aside, written_aside, written_folder
from tests.disks import largest_file


def test_a_file_has_what_was_written_and_whom_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    umask = os.umask(0o077)
    try:
        write_aside(path, b"all of it")
        write_aside(tmp_path / "secret", b"", mode=0o600)
    finally:
        os.umask(umask)
    assert path.read_bytes() == b"all of it"
    assert path.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("new", [False, True])
def test_no_name_is_given_before_the_end_and_none_after_an_error(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "weights"
    if not new:
        path.write_bytes(b"before")
    before = sorted(tmp_path.iterdir())

    def interrupted() -> None:
        with written_aside(path, new=new) as file:
            file.write(b"half")
            file.flush()
            assert path.exists() is not new
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(tmp_path.iterdir()) == before
    assert new or path.read_bytes() == b"before"


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write_aside(path, b"first", new=True)
    with pytest.raises(FileExistsError):
        write_aside(path, b"second", new=True)
    assert path.read_bytes() == b"first"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("size", [101, 100_000])
def test_what_does_not_fit_on_a_disk_is_named_by_what_it_was_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def in_a_folder() -> None:
        with written_folder(folder) as aside:
            (aside / "layer").write_bytes(bytes(size))

    def without_a_name() -> None:
        with temporary_file() as opened:
            opened.write(bytes(size))

    for write, named in (
        (lambda: write_aside(file, bytes(size)), file),
        (in_a_folder, folder),
        (without_a_name, tmp_path),
    ):
        with largest_file(100), pytest.raises(OSError, match="File too large") as refused:
            write()
        assert str(refused.value).endswith(f": {str(named)!r}")
        assert not [*tmp_path.iterdir()]


def test_a_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "entry", list[bool]()

    def sync(descriptor: int) -> None:
        synced.append(path.exists())

    monkeypatch.setattr("imaging.writing.os.fsync", sync)
    write_aside(path, b"content")
    assert synced == [False, True]  # the file, and then the folder


def test_all_of_a_folder_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "parts" / "1", list[tuple[str, bool]]()

    def sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, path.exists()))

    monkeypatch.setattr("imaging.writing.os.fsync", sync)
    with written_folder(path) as aside:
        (aside / "blobs").mkdir()
        (aside / "blobs" / "weights").write_bytes(b"content")
    before = {name for name, is_there in synced if not is_there}
    assert before == {"blobs", "weights", aside.name}
    assert [name for name, is_there in synced if is_there] == ["parts", tmp_path.name]


@pytest.mark.parametrize("masked", [0o077, 0])
def test_all_may_read_a_folder_and_its_owner_alone_write(tmp_path: Path, masked: int) -> None:
    umask = os.umask(masked)
    try:
        with written_folder(tmp_path / "all/parts/1") as aside:
            (aside / "blobs").mkdir()
            (aside / "blobs" / "weights").write_bytes(b"content")
    finally:
        os.umask(umask)
    for each in ("all", "all/parts", "all/parts/1", "all/parts/1/blobs"):
        assert (tmp_path / each).stat().st_mode & 0o777 == 0o755, each
    assert (tmp_path / "all/parts/1/blobs/weights").stat().st_mode & 0o777 == 0o644


def test_what_a_killed_writer_of_a_folder_left_is_removed_once_nobody_writes_it(
    tmp_path: Path,
) -> None:
    def killed(name: str, seconds: float) -> None:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"half")
        for each in (folder / "model.onnx", folder):
            os.utime(each, (time.time() - seconds,) * 2)

    killed(".orbitserve-left.partial", 7200)
    killed(".orbitserve-busy.partial", 60)
    killed(".somebodys.partial", 7200)
    with written_folder(tmp_path / "1"):
        pass
    there = {".orbitserve-busy.partial", ".somebodys.partial", "1"}
    assert {each.name for each in tmp_path.iterdir()} == there


def test_what_is_removed_beside_a_writer_that_lives_is_no_half_of_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its clock is an hour behind: it gives a folder its name while that is removed."""
    aside, version = tmp_path / ".orbitserve-busy.partial", tmp_path / "1"
    aside.mkdir()
    for name in ("model.onnx", "card.json", "audit.npz"):
        (aside / name).write_bytes(b"whole")
        os.utime(aside / name, (0, 0))
    os.utime(aside, (0, 0))
    unlink = os.unlink

    def ended(*arguments: Any, **options: Any) -> None:
        with suppress(FileNotFoundError):
            aside.rename(version)
        unlink(*arguments, **options)

    monkeypatch.setattr(os, "unlink", ended)
    with written_folder(tmp_path / "2"):
        pass
    assert not aside.exists()
    assert not version.exists() or len([*version.iterdir()]) == 3
