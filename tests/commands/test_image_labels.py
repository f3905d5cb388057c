"""`orbitserve audit --images`: sub-folders that are named as classes, and tables, give labels."""

import unicodedata
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from artifact.audit_set import load_audit_set
from audit import ClassNames, Report
from commands.images import class_of_cell, read_labels
from imaging import RefusedError

pytestmark = pytest.mark.slow

MODEL = "model_repository/rotmnist-c4-int8/1"


def audited(run, model, *arguments, status=2):
    code, out, err = run("audit", model, *arguments, "--json")
    assert code == status, err
    return Report.model_validate_json(out), err


@pytest.mark.parametrize(
    ("form", "deep", "change"), [("NFC", False, str.upper), ("NFD", True, str)]
)
def test_sub_folders_of_classes_are_labels(run, named, names, parts, form, deep, change):
    names = [change(name) for name in names]
    report, err = audited(run, named, "--images", parts(names, deep, form))
    due = load_audit_set(Path(MODEL) / "audit.npz").labels[:40]
    assert report.figures.accuracy.count == 40
    assert report.figures.accuracy.correct >= 38
    assert sorted(report.figures.answers.expected) == sorted(due.tolist())
    for file, label in zip(report.data.files, report.figures.answers.expected, strict=True):
        assert unicodedata.normalize("NFC", file).startswith(names[label] + "/")
    assert err.startswith("Labels are read from the sub-folders ")
    assert err.count("\n") == 1


def test_the_replay_finds_the_same_labels(run, named, names, parts):
    folder = parts(names)
    report, _ = audited(run, named, "--images", folder, "--no-labels")
    assert "--no-labels" in report.replay
    assert report.figures.accuracy is None


def test_unsorted_images_have_none_and_nothing_is_said(run, named, parts):
    folder = parts(["."] * 10)
    report, err = audited(run, named, "--images", folder)
    assert report.figures.accuracy is None
    assert report.data.files[0] == "00.png"
    assert err == ""


def test_other_sub_folders_are_told_and_have_none(run, named, parts):
    folder = parts([f"part {k}" for k in range(9)] + ["\x1b[2Jpart"])
    report, err = audited(run, named, "--images", folder)
    assert report.figures.accuracy is None
    assert err.count("\n") == 1
    assert "No labels are read: the sub-folders (\\u001b[2Jpart, part 0, part 1, " in err
    assert audited(run, named, "--images", folder, "--progress", "none")[1] == ""


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        (["misc"], "but the sub-folder misc is not (its classes are 不良, "),
        (["misc", "junk"], "but the sub-folders junk and misc are not ("),
        (["."], "images lie in none"),
        (["nah te"], "but the sub-folder nah te is not"),
    ],
)
def test_half_of_it_is_one_sentence(run, named, names, parts, others, sentence):
    folder = parts([*others, *names[len(others) :]])
    code, out, err = run("audit", named, "--images", folder)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert sentence in err
    assert "--no-labels" in err


def test_of_half_of_it_none_are_wanted(run, named, names, parts):
    folder = parts(["misc", *names[1:]])
    report, err = audited(run, named, "--images", folder, "--no-labels")
    assert report.figures.accuracy is None
    assert err == ""


def test_an_empty_folder_and_files_of_other_kinds_say_nothing(run, named, names, parts):
    folder = parts(names)
    (folder / "unsure").mkdir()
    (folder / "unsure" / "notes.txt").write_text("later")
    (folder / ".cache").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / ".cache" / "thumb.png")
    report, _ = audited(run, named, "--images", folder)
    assert report.figures.accuracy.count == 40


class TestTable:
    @pytest.fixture
    def table(self, names, parts, tmp_path):
        folder = parts(["."] * 10)
        labels = load_audit_set(Path(MODEL) / "audit.npz").labels[:40]
        lines = [f'{i:02}.png,"{names[label]}"' for i, label in enumerate(labels)]
        path = tmp_path / "labels.csv"
        path.write_text("\n".join(["file,label", *lines]), encoding="utf-8-sig")
        return folder, path

    def test_a_table_gives_labels(self, run, named, table):
        folder, path = table
        report, err = audited(run, named, "--images", folder, "--labels", path)
        due = load_audit_set(Path(MODEL) / "audit.npz").labels[:40]
        assert report.figures.answers.expected == tuple(due.tolist())
        assert err == ""

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda text: text.replace("03.png", "x.png"), "has no line for "),
            (
                lambda text: text.replace("gut", "good"),
                "has the label 'good', which is no class",
            ),
            (
                lambda text: text + ",more",
                "a line of other than two columns, with a comma in between: file and label",
            ),
            (lambda text: text + "\n01.png,4\n01.png,5", "has two lines for 01.png"),
        ],
    )
    def test_what_it_lacks_is_one_sentence(self, run, named, table, change, sentence):
        folder, path = table
        path.write_text(change(path.read_text("utf-8-sig")))
        code, out, err = run("audit", named, "--images", folder, "--labels", path)
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert sentence in err

    def test_a_line_is_of_one_image(self, tmp_path):
        """Cameras number their images alike, and one label went to all of one name."""
        images = [tmp_path / name for name in ("a/1.png", "b/1.png")]
        file = tmp_path / "labels.csv"
        file.write_text("1.png,cat\n")
        for read in ([*images], [*images[::-1]]):
            with pytest.raises(RefusedError, match=r"one line, 1\.png, for .*names the folder too"):
                read_labels(file, read, ClassNames(["cat", "dog"]))
        assert read_labels(file, [images[0]] * 2, ClassNames(["cat", "dog"])).tolist() == [0, 0]
        for second in ("b/1.png", str(images[1])):
            file.write_text(f"1.png,cat\n{second},dog\n")
            assert read_labels(file, images, ClassNames(["cat", "dog"])).tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (None, r"x\.csv cannot be read: No such file or directory; a CSV file with"),
            ("1.png,cat".encode("utf-16"), r"x\.csv is not UTF-8; a CSV file with"),
            (b'"' + b"a" * 200_000, r"x\.csv is no CSV file \(field larger than .*\); a CSV file"),
        ],
    )
    def test_why_it_cannot_be_read_is_said_once(self, tmp_path, content, sentence):
        if content is not None:
            (tmp_path / "x.csv").write_bytes(content)
        with pytest.raises(RefusedError, match=sentence):
            read_labels(tmp_path / "x.csv", [tmp_path / "1.png"], ClassNames(["cat", "dog"]))

    def test_a_table_may_have_whole_paths_where_folders_are_named_from_here(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        Path("labels.csv").write_text(f"{tmp_path}/a/1.png,dog\n")
        found = read_labels(Path("labels.csv"), [Path("a/1.png")], ClassNames(["cat", "dog"]))
        assert found.tolist() == [1]

    def test_it_is_for_files(self, run, table):
        folder, path = table
        for more in ([], ["--images", f"{MODEL}/audit.npz"], ["--images", folder, "--no-labels"]):
            code, out, err = run("audit", "rotmnist-c4-int8", "--labels", path, *more)
            assert (code, out, err.count("\n")) == (3, "", 1)
            assert "--labels is for image files" in err


def test_labels_of_an_audit_set_can_be_left_out(run):
    asked = ["--images", f"{MODEL}/audit.npz", "--no-labels"]
    report, _ = audited(run, "rotmnist-c4-int8", *asked, status=0)
    assert report.figures.accuracy is None
    code, _, err = run("audit", "rotmnist-c4-int8", "--no-labels")
    assert code == 3
    assert "--no-labels is for images that --images names" in err


def test_of_classes_without_names_tables_alone_give_labels(run, parts, tmp_path):
    """Sub-folders called 1 or 2024 need not be classes."""
    model = onnx.load(f"{MODEL}/model.onnx")
    kept = [entry for entry in model.metadata_props if entry.key != "classes"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, tmp_path / "bare.onnx")
    folder = parts([str(k) for k in range(10)])
    report, err = audited(run, tmp_path / "bare.onnx", "--images", folder)
    assert report.figures.accuracy is None
    assert "the classes of the model have no names" in err
    lines = [f"{path.name},{path.parent.name}" for path in folder.rglob("*.png")]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    asked = ["--images", folder, "--labels", tmp_path / "labels.csv"]
    report, err = audited(run, tmp_path / "bare.onnx", *asked)
    assert report.figures.accuracy.correct >= 38
    assert err == ""
    (tmp_path / "labels.csv").write_text("\n".join(lines).replace(",9", ",10"))
    code, _, err = run("audit", tmp_path / "bare.onnx", *asked)
    assert code == 3
    assert "The label of an image is 10; the model has 10 classes" in err


class TestCells:
    """What a cell of a table means where classes are called by numbers."""

    def test_a_name_or_a_number(self):
        classes = ClassNames(["0", "90", "180", "cat"])
        found = [class_of_cell(cell, classes, 4, "a row") for cell in (0, 90, "180", 3, "cat")]
        assert found == [0, 1, 2, 3, 3]

    @pytest.mark.parametrize("cell", [True, False, 2**63, None, 1.0, b"good"])
    @pytest.mark.parametrize("names", [["good", "bad"], []])
    def test_what_is_neither(self, cell, names):
        with pytest.raises(RefusedError, match=r"^a row has the label .*, which is no class of"):
            class_of_cell(cell, ClassNames(names), len(names), "a row")

    def test_a_number_that_is_the_name_of_another_class(self):
        with pytest.raises(RefusedError, match="the number of one class and the name of another"):
            class_of_cell(1, ClassNames(["1", "2", "10"]), 3, "a row")
