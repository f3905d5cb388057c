"""Only regular files are read, to a bound, and nobody is waited for."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.files import FileRefusedError, paths_below, read_file
from imaging.refusal import RefusedError
from tests.permissions import held_to_permissions

pytestmark = pytest.mark.timeout(20)  # a FIFO is waited for in vain


def test_a_file_of_at_most_so_many_bytes_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(file)
    assert read_file(file, 5) == read_file(tmp_path / "link", 5) == b"12345"
    with pytest.raises(FileRefusedError, match="is too large; at most"):
        read_file(file, 4)
    file.write_bytes(b"")
    assert read_file(file, 5) == b""


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


KINDS: list[tuple[Callable[[Path], object], str]] = [
    (os.mkfifo, "is a FIFO; a regular file is accepted"),
    (listen, "is a socket"),
    (Path.mkdir, "is a folder"),
    (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    (lambda path: path.symlink_to(path), "cannot be read: Too many levels"),
    (lambda path: None, "cannot be read: No such file"),
]


@pytest.mark.parametrize(("make", "sentence"), KINDS)
def test_whatever_else_is_there_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], object],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may be no longer than 108 bytes
    make(Path("it"))
    with pytest.raises(FileRefusedError, match=sentence):
        read_file(Path("it"), 100)


def test_a_fifo_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check that counts is that of what was opened."""
    (tmp_path / "file").write_bytes(b"regular")
    os.mkfifo(tmp_path / "fifo")
    regular = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda _: regular)
    with pytest.raises(FileRefusedError, match="is a FIFO"):
        read_file(tmp_path / "fifo", 100)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no /proc")
def test_a_file_that_lies_about_its_size_is_refused() -> None:
    for name in ("maps", "stat"):
        with pytest.raises(FileRefusedError, match="another size than it says"):
            read_file(Path("/proc/self") / name, 2**20)


def test_a_file_that_has_nothing_to_read_yet_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel's log is, once all of it was read: it says that it is a regular file."""
    (tmp_path / "file").touch()
    waiting, writer = os.pipe2(os.O_NONBLOCK)
    monkeypatch.setattr("imaging.files.os.open", lambda *_: waiting)
    monkeypatch.setattr("imaging.files.os.fstat", lambda _: (tmp_path / "file").stat())
    with pytest.raises(FileRefusedError, match="another size than it says"):
        read_file(tmp_path / "file", 100)
    os.close(writer)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o000)
    with (
        held_to_permissions(),
        pytest.raises(FileRefusedError, match="cannot be read: Permission denied"),
    ):
        read_file(tmp_path / "file", 100)


def test_folders_that_link_to_one_another_are_refused_and_not_gone_through(tmp_path: Path) -> None:
    """Twelve of them have a thousand million ways from one into another."""
    folders = [tmp_path / f"{i}" for i in range(12)]
    for folder in folders:
        folder.mkdir()
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    with pytest.raises(RefusedError, match="in more than 100 ways, as where folders link to one"):
        list(paths_below(tmp_path, (".png",)))


def test_folders_in_folders_are_gone_into_however_deep(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(1010):
        deep /= "a"
        deep.mkdir()
    (deep / "x.png").touch()
    assert [path.name for path in paths_below(tmp_path, (".png",))] == ["x.png"]
    (deep / "x.png").unlink()
    while deep != tmp_path:  # what removes it otherwise recurses
        deep.rmdir()
        deep = deep.parent
