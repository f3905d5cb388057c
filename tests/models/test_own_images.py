"""A folder of one's own images, as people have it: parts photographed several times, stray files,
images in two classes, another folder for the test."""

from itertools import product
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from imaging import FitPolicy, RefusedError, grid_symmetries
from models.datasets.folder import LEAST, survey
from models.datasets.folder_source import FolderSource
from models.datasets.own_images import OwnImages
from models.datasets.parts import nearest_boundary, parts_by_name, same_parts
from models.datasets.split import load as load_split
from models.datasets.split import save as save_split
from models.experiment import folder_experiment, model_name
from models.overview import overview
from service.decoding.files import find_image_files


def save(path, random, colour=False):
    """Write a picture that is no other's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (9, 9, 3) if colour else (9, 9)
    Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(path)


@pytest.fixture
def parts(tmp_path):
    """Three photographs of each of eight parts in two classes."""
    random = np.random.default_rng(0)
    for kind in ("good", "scratched"):
        for part in range(8):
            for shot in "abc":
                save(tmp_path / "parts" / kind / f"{kind[0]}{part}_{shot}.png", random)
    return tmp_path / "parts"


def rows(own):
    """The parts of training images and of test images, by their files."""
    data = own.read(FitPolicy(9))
    return data, {name.name.partition("_")[0] for name in data.test_files}


def test_images_of_a_part_are_on_one_side_of_every_split(parts):
    own = OwnImages.survey(FolderSource(folder=parts, group_by="_"))
    data, tested = rows(own)
    names = {path.name.partition("_")[0] for path in own.found.files}
    assert len(data.test) % 3 == 0
    assert len(tested) == len(data.test) // 3
    assert len(names - tested) == len(data.train) // 3
    assert set(data.test.labels.tolist()) == {0, 1}
    for asked in range(1, len(data.train)):
        held_out = data.held_out(asked)
        border = len(data.train) - held_out
        assert data.parts[border - 1] != data.parts[border]
    without, mixed = rows(OwnImages.survey(FolderSource(folder=parts)))
    assert len(mixed) > len(without.test) // 3  # which a split of images does not keep


@pytest.mark.parametrize("shots", [0, 200])
def test_a_part_that_is_most_of_a_class_is_named(parts, shots):
    """Its class is tested on far more than a fifth, or far less."""
    random = np.random.default_rng(2)
    for shot in range(shots):
        save(parts / "good" / f"g0_{shot}.png", random)
    experiment = folder_experiment(FolderSource(folder=parts, group_by="_"))
    own = experiment.own
    uneven = [
        line for line in overview(experiment, experiment.info) if line[2:].startswith("uneven")
    ]
    good = f"{100 * own.tested_classes()[0]:.0f} % of the images of the class good are tested on"
    assert [good in line for line in uneven[:1]] == [True] * bool(shots)
    tested = own.read(FitPolicy(9)).test.labels
    assert own.tested_classes()[0] == (tested == 0).sum() / (24 + shots)


def test_test_images_tell_which_part_they_show(parts, tmp_path):
    """So that an audit of the network does not count three photographs of a part for three."""
    own = OwnImages.survey(FolderSource(folder=parts, group_by="_"))
    data = own.read(FitPolicy(9))
    save_split(data.test[:4], tmp_path / "audit.npz")
    names = [name.name.partition("_")[0] for name in data.test_files]
    for groups in (data.test.groups, load_split(tmp_path / "audit.npz").groups):
        for one, other in product(range(len(groups)), repeat=2):
            assert (groups[one] == groups[other]) == (names[one] == names[other])
    assert OwnImages.survey(FolderSource(folder=parts)).read(FitPolicy(9)).test.groups is None
    apart = OwnImages.survey(FolderSource(folder=parts, test=parts, group_by="_"))
    assert len(set(apart.read(FitPolicy(9)).test.groups.tolist())) == 16


def test_an_experiment_holds_whole_parts_out(parts):
    experiment = folder_experiment(FolderSource(folder=parts, group_by="_"))
    for asked in (experiment, experiment.with_recipe({"validation": 7})):
        assert asked.recipe.validation % 3 == 0
        assert asked.recipe.validation > 0


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("_", ["a1", "a1", "b/a2", "c"]),
        ("/", ["a1_x", "a1_y", "b", "c"]),
        (r"^\D*(\d)", None),
        (r"([abc])", ["a", "a", "b", "c"]),
        (r"[ab]\d_|c", ["a1_", "a1_", "a2_", "c"]),
        ("folder", ["a1_x.png", "a1_y.jpg", "b", "c.png"]),
    ],
)
def test_a_rule_names_the_part(rule, expected):
    names = [PurePath(name) for name in ("a1_x.png", "a1_y.jpg", "b/a2_z.png", "c.png")]
    if expected is None:
        with pytest.raises(RefusedError, match=r"matches nothing in 1 of 4 names.*'c.png'"):
            parts_by_name(names, rule)
    else:
        assert parts_by_name(names, rule) == expected


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("--", "matches nothing in 48 of 48"),
        ("", "'good' has 1"),
        ("(a", "no regular expression"),
        (r".+", "another part in every file"),
        (r"^.", "'good' has 1, 'scratched' has 1"),
    ],
)
def test_a_rule_that_tells_no_parts_is_refused(parts, rule, sentence):
    with pytest.raises(RefusedError, match=sentence):
        OwnImages.survey(FolderSource(folder=parts, group_by=rule))


def test_parts_are_joined_by_any_key():
    assert same_parts("aabbc", [1, 2, 2, 3, 4]).tolist() == [0, 0, 0, 0, 1]


def test_the_nearest_boundary_splits_no_part():
    assert nearest_boundary(np.array([0, 0, 1, 2, 2, 2]), 1) == 3
    assert nearest_boundary(np.array([0, 0, 1, 2, 2, 2]), 4) in (3, 4)
    assert nearest_boundary(np.array([0, 1, 2, 3]), 2) == 2
    assert nearest_boundary(np.array([0, 0]), 0) == 0


def test_a_rotated_or_mirrored_copy_is_on_the_side_of_its_image(tmp_path):
    """An invariant network knows it again, so that it would test nothing."""
    random = np.random.default_rng(0)
    for kind, number in product("ab", range(12)):
        image = random.integers(0, 256, (9, 7 if number % 2 else 9, 3), np.uint8)
        image[:2] = image[-2:] = image[:, :2] = image[:, -2:] = 0
        (tmp_path / kind).mkdir(exist_ok=True)
        for copy, element in enumerate(grid_symmetries("D4")):
            turned = element(image.transpose(2, 0, 1)).transpose(1, 2, 0)
            Image.fromarray(turned).save(tmp_path / kind / f"{copy}-{number:02}.png")
    own = OwnImages.survey(FolderSource(folder=tmp_path))
    data = own.read(FitPolicy(9))
    tested = {(path.parent, path.stem[2:]) for path in data.test_files}
    assert 0 < len(data.test) == 8 * len(tested)
    assert len(set(own.found.digests)) == 8 * 24


def test_an_image_that_is_there_twice_is_on_one_side_and_named_in_two_classes(parts):
    twin = parts / "scratched" / "z.bmp"  # of another format, and the same pixels
    Image.open(parts / "good" / "g0_a.png").save(twin)
    own = OwnImages.survey(FolderSource(folder=parts))
    ((one, other),) = own.found.in_two_classes()
    assert own.found.name_of(one) == Path("good/g0_a.png")
    assert own.found.name_of(other) == Path("scratched/z.bmp")
    assert own.parts[one] == own.parts[other]
    assert len(set(own.parts.tolist())) == len(own.parts) - 1


def test_an_image_that_is_there_rotated_is_named_in_two_classes(parts):
    pixels = np.asarray(Image.open(parts / "good" / "g0_a.png"))
    Image.fromarray(np.rot90(pixels, 2)).save(parts / "scratched" / "z.png")
    experiment = folder_experiment(FolderSource(folder=parts))
    (told,) = (
        line for line in overview(experiment, experiment.info) if line[2:].startswith("twice")
    )
    assert told.endswith(
        "scratched/z.png is good/g0_a.png rotated or mirrored, in another class: a network that "
        "this does not change answers both alike"
    )


def test_what_lies_in_hidden_folders_does_not_count(parts):
    before = survey(parts).files
    for place in (parts / ".thumbnails", parts / "good" / ".cache" / "deep"):
        save(place / "a.png", np.random.default_rng(1))
    assert survey(parts).files == before


def test_unreadable_files_are_left_out_where_that_is_asked(parts):
    (parts / "good" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(RefusedError, match=r"bad.png \(unknown format\); --skip-unreadable"):
        survey(parts)
    found = survey(parts, skip_unreadable=True)
    assert found.unreadable == ("good/bad.png (unknown format)",)
    assert len(found.files) == len(found.labels) == len(found.sizes) == len(found.digests) == 48


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("a", " "), "a class has a name that can be seen"),
        (("Train", "val"), "Train and val, which are parts of a data set and no classes"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, names, sentence):
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(RefusedError, match=sentence):
        survey(tmp_path)


def test_what_is_left_has_to_be_enough(tmp_path):
    random = np.random.default_rng(0)
    for kind in ("a", "b"):
        for i in range(LEAST):
            save(tmp_path / kind / f"{i}.png", random)
    (tmp_path / "b" / "0.png").write_bytes(b"no picture")
    with pytest.raises(RefusedError, match="'b' has 9"):
        survey(tmp_path, skip_unreadable=True)


def test_copies_of_a_few_images_are_too_few(tmp_path):
    """All of a class would lie on one side of the split."""
    random = np.random.default_rng(0)
    for i in range(LEAST):
        save(tmp_path / "a" / f"{i}.png", random)
        save(tmp_path / "b" / f"{i}.png", np.random.default_rng(i % 4))
    with pytest.raises(RefusedError, match="too few different images: 'b' has 4; 5 or more"):
        OwnImages.survey(FolderSource(folder=tmp_path))


def test_linked_folders_are_followed_but_in_no_circle(parts, tmp_path):
    before = [path.relative_to(parts) for path in survey(parts).files]
    for i in range(3):
        save(tmp_path / "elsewhere" / f"{i}.png", np.random.default_rng(9 + i))
    (parts / "good" / "linked").symlink_to(tmp_path / "elsewhere")
    (parts / "good" / "circle").symlink_to(parts / "good")
    (parts / "good" / "above").symlink_to(parts)
    found = [path.relative_to(parts) for path in survey(parts).files]
    assert sorted({*found} - {*before}) == [Path(f"good/linked/{i}.png") for i in range(3)]
    assert [file.path for file in find_image_files([parts])] == [parts / path for path in found]
    (parts / "good" / "lost.png").symlink_to("nowhere")
    with pytest.raises(RefusedError, match=r"good/lost\.png .cannot be read: No such file"):
        survey(parts)


def test_images_beside_the_classes_are_refused(parts):
    save(parts / "overview.png", np.random.default_rng(1))
    with pytest.raises(RefusedError, match=r"beside the folders of its classes, as overview\.png"):
        survey(parts)


def test_a_folder_in_one_whose_name_no_run_can_note_is_refused(parts):
    place = parts.parent / "b\udcff"
    place.mkdir()
    inside = parts.rename(place / parts.name)
    with pytest.raises(RefusedError, match="or of one that it lies in, is not UTF-8"):
        survey(inside)


def test_classes_that_read_alike_or_cannot_be_written_are_refused(parts):
    for name, sentence in (("\u00e9", "e\u0301"), ("b\udcff", None)):
        other = parts / name
        (parts / "good").rename(other)
        if sentence is not None:
            (parts / "scratched").rename(parts / sentence)
        with pytest.raises(RefusedError, match="composed of other" if sentence else "not UTF-8"):
            survey(parts)
        other.rename(parts / "good")
        if sentence is not None:
            (parts / sentence).rename(parts / "scratched")


def test_parts_that_are_trained_on_and_tested_on_are_named(parts, tmp_path):
    for part in ("g0", "g1", "new"):
        save(tmp_path / "more" / "good" / f"{part}_z.png", np.random.default_rng(len(part)))
    source = FolderSource(folder=parts, test=tmp_path / "more", group_by="_")
    assert OwnImages.survey(source).parts_of_both() == ["g0", "g1"]
    own = OwnImages.survey(source.model_copy(update={"group_by": None}))
    assert own.parts_of_both() == []


def test_colours_are_left_out_where_that_is_asked(parts):
    save(parts / "good" / "red.png", np.random.default_rng(1), colour=True)
    own = OwnImages.survey(FolderSource(folder=parts))
    assert own.read(FitPolicy(9)).train.images.shape[1] == 3
    assert own.found.coloured == parts / "good" / "red.png"
    own = OwnImages.survey(FolderSource(folder=parts, channels=1))
    assert own.read(FitPolicy(9)).train.images.shape[1] == 1


def test_another_folder_is_tested_on(parts, tmp_path):
    random = np.random.default_rng(5)
    for i in range(3):
        save(tmp_path / "more" / "scratched" / f"{i}.png", random)
    data = OwnImages.survey(FolderSource(folder=parts, test=tmp_path / "more")).read(FitPolicy(9))
    assert (len(data.train), data.test.labels.tolist()) == (48, [1, 1, 1])
    assert {name.as_posix() for name in data.test_files} == {f"scratched/{i}.png" for i in range(3)}
    (tmp_path / "more" / "bent").mkdir()
    with pytest.raises(RefusedError, match=r"'bent', which is no class.* good, scratched"):
        OwnImages.survey(FolderSource(folder=parts, test=tmp_path / "more"))
    (tmp_path / "none" / "good").mkdir(parents=True)
    with pytest.raises(RefusedError, match="no images in"):
        OwnImages.survey(FolderSource(folder=parts, test=tmp_path / "none"))


def test_a_run_keeps_how_its_images_are_read_again(parts, monkeypatch):
    monkeypatch.chdir(parts.parent)
    (parts / "good" / "bad.png").write_bytes(b"")
    source = FolderSource(folder=Path("parts"), group_by="_", skip_unreadable=True)
    experiment = folder_experiment(source)
    kept = experiment.info.source
    assert kept.folder == parts
    monkeypatch.chdir("/")
    again = OwnImages.survey(kept).read(FitPolicy(kept.size, kept.fit))
    assert again.sha256 == experiment.data.sha256


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Own Images", "own-images"), ("Größe 2", "grosse-2"), ("a_b.c", "a_b.c"), ("-x-", "x")],
)
def test_a_folder_names_its_model(folder, name):
    assert model_name(Path(folder)) == name


@pytest.mark.parametrize("folder", ["不良", "部品", "部品 A", "деталь", "..."])
def test_a_folder_that_would_lose_its_name_is_refused(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    with pytest.raises(RefusedError, match="--name"):
        model_name(tmp_path / folder if folder != "..." else Path("/"))
