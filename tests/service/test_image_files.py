"""Which files are images, what they are called, and what becomes of broken ones."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact.card import load_card
from service.decoding.files import find_image_files, find_images, read_images
from service.settings import ConfigurationError
from tests.disks import largest_file

SPEC = load_card(Path("model_repository/rotmnist-c4-int8/1/card.json")).input


def image(path, grey=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), grey, np.uint8)).save(path, "PNG")
    return path


def test_names_are_below_the_folder_that_was_named(tmp_path):
    for name in ("loose.png", "good/a.PNG", "good/part 1/b.png", "不良/c.png"):
        image(tmp_path / name)
    found = [(file.name, file.folder) for file in find_image_files([tmp_path])]
    assert sorted(found, key=str) == [
        ("good/a.PNG", "good"),
        ("good/part 1/b.png", "good"),
        ("loose.png", None),
        ("不良/c.png", "不良"),
    ]


def test_of_several_places_names_are_whole_paths(tmp_path):
    places = [image(tmp_path / "a" / "x.png"), tmp_path / "b"]
    image(tmp_path / "b" / "good" / "x.png")
    found = [(file.name, file.folder) for file in find_image_files(places)]
    assert found == [
        (f"{tmp_path}/a/x.png", None),
        (f"{tmp_path}/b/good/x.png", "good"),
    ]


def test_what_a_mac_leaves_behind_does_not_count(tmp_path):
    image(tmp_path / "good" / "a.png")
    for name in (
        ".DS_Store",
        "good/.DS_Store",
        "good/._a.png",
        ".thumbs/a.png",
        "__MACOSX/._a.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"Mac OS X")
    (tmp_path / "good" / "a folder.png").mkdir()
    (tmp_path / "good" / "notes.txt").write_text("nothing")
    assert find_images([tmp_path]) == [tmp_path / "good" / "a.png"]


def test_a_hidden_folder_counts_if_it_is_the_one_that_was_named(tmp_path):
    path = image(tmp_path / ".kept" / "a.png")
    assert find_images([tmp_path / ".kept"]) == [path]


def test_every_name_can_be_written_as_utf_8(tmp_path):
    try:
        image(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe4/a.png")))
    except OSError:
        pytest.skip("This file system takes names in UTF-8 alone.")
    (file,) = find_image_files([tmp_path])
    assert file.name == "\\xff\\xe4/a.png"
    assert file.folder == "\\xff\\xe4"
    assert file.path.exists()


def test_a_link_to_nothing_is_told(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ConfigurationError, match=r"a\.png cannot be read: No such file"):
        read_images(find_images([tmp_path]), SPEC, 2**20)


def test_a_broken_file_is_refused_or_left_out(tmp_path):
    paths = [image(tmp_path / f"{grey}.png", grey) for grey in (1, 2, 3)]
    paths[1].write_bytes(b"\x89PNG but no image")
    with pytest.raises(ConfigurationError, match=r"2\.png"):
        read_images(paths, SPEC, 2**20)
    told, seen = [], []
    images = read_images(
        paths,
        SPEC,
        2**20,
        lambda *done: seen.append(done),
        unreadable=lambda place, error: told.append((place, str(error))),
    )
    assert [image.max() for image in images] == [1, 3]
    assert [place for place, _ in told] == [1]
    assert "2.png" in told[0][1]
    assert seen[-1] == (3, 3)


def test_none_that_can_be_read_is_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(ConfigurationError, match="None of the 1 image files"):
        read_images([path], SPEC, 2**20, unreadable=lambda *_: None)


def test_decomposed_names_stay_as_they_are(tmp_path):
    name = unicodedata.normalize("NFD", "Ñandú.png")
    image(tmp_path / name)
    assert find_image_files([tmp_path])[0].name == name


@pytest.mark.parametrize("count", [10, 40])
def test_a_temporary_folder_that_is_full_is_named(tmp_path, monkeypatch, count):
    paths = [image(tmp_path / "a.png")] * count
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with largest_file(100), pytest.raises(OSError, match=f"File too large: '{tmp_path}'"):
        read_images(paths, SPEC, 2**20)
