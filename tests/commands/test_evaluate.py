"""`orbitserve evaluate`: what it reads, what it says, where that goes, what its status says."""

import csv
import json
import os
import shlex
from pathlib import Path

import onnx
import pytest

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from artifact.card import load_card
from audit.evaluation import Evaluation
from audit.render.evaluation import EVALUATION_FORMATS

pytestmark = pytest.mark.slow

MODEL = "model_repository/rotmnist-c4-int8/1"


def evaluated(run, *arguments, status=0):
    code, out, err = run("evaluate", *arguments, "--json")
    assert code == status, err
    assert err == ""
    return Evaluation.model_validate_json(out)


@pytest.fixture(scope="module")
def bundled():
    return load_audit_set(Path(MODEL) / "audit.npz")


def test_a_folder_of_named_parts(run, named, names, parts, bundled):
    found = evaluated(run, named, parts(names, deep=True))
    assert found.verdict is None
    assert found.figures.accuracy.total == 40
    assert found.figures.accuracy.count >= 38
    assert sorted(each.expected for each in found.answers) == sorted(bundled.labels[:40].tolist())
    for each in found.answers:
        assert each.name.startswith(f"{names[each.expected]}/part ")
    assert found.model.classes == tuple(names)


def test_every_format_says_the_same(run, named, names, parts, tmp_path):
    folder = parts(names)
    paths = [tmp_path / f"wrong.{ending}" for ending in ("html", "json", "csv", "txt")]
    code, out, err = run("evaluate", named, folder, *(w for p in paths for w in ("--output", p)))
    assert (code, err) == (0, "")
    found = Evaluation.model_validate_json(paths[1].read_bytes())
    for path, report_format in zip(paths, ("html", "json", "csv", "text"), strict=True):
        assert path.read_bytes() == EVALUATION_FORMATS[report_format].write(found)
    assert out.encode() == paths[3].read_bytes()
    with paths[2].open(newline="", encoding="utf-8-sig") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 40
    assert {row["expected"] for row in rows} <= {*names, "'=cmd"} - {"=cmd"}
    assert sum(int(row["correct"]) for row in rows) == found.figures.accuracy.count
    assert {p.name for p in tmp_path.iterdir()} == {"parts", *(path.name for path in paths)}


def test_the_name_that_a_server_gives_its_model_stays_on_its_line(run, named, names, parts):
    found = evaluated(run, named, parts(names))
    model = found.model.model_copy(update={"name": "m\nPASS  m\x1b[2J"})
    claim = (*found.claim, "Said by\x1b[8m a class.")
    said = EVALUATION_FORMATS["text"].write(
        found.model_copy(update={"model": model, "claim": claim})
    )
    assert said.startswith(b"m\\nPASS  m\\x1b[2J version 1")
    assert b"\x1b" not in said


@pytest.mark.parametrize(
    ("asked", "status", "verdict"),
    [(0.8, 0, "PASS"), (0.99, 2, "INCONCLUSIVE"), (0.9999, 1, "FAIL")],
)
def test_the_status_is_that_of_what_is_asked(run, named, names, parts, asked, status, verdict):
    found = evaluated(run, named, parts(names), "--at-least", asked, status=status)
    assert found.verdict == verdict
    assert found.asked.at_least == asked


def test_a_model_that_is_often_wrong_fails(run, named, names, parts):
    folder = parts([*names[1:], names[0]])
    found = evaluated(run, named, folder, "--at-least", 0.5, status=1)
    assert found.verdict == "FAIL"
    assert found.figures.accuracy.count <= 2
    assert len(found.pictures) == len([*found.wrong()]) >= 38
    assert evaluated(run, named, folder, status=0).verdict is None
    assert len(evaluated(run, named, folder, "--pictures", 3).pictures) == 3


def test_without_a_folder_the_models_own_images_are_used(run):
    found = evaluated(run, "rotmnist-c4-int8")
    card = load_card(Path(MODEL) / "card.json")
    assert found.data.sha256 == card.audit_set.sha256
    assert found.figures.accuracy.total == 512
    assert any("came with the model" in sentence for sentence in found.claim)
    assert evaluated(run, "rotmnist-c4-int8", f"{MODEL}/audit.npz").figures == found.figures


def test_groups_make_the_interval_wider(run, named, names, parts):
    folder = parts(names, deep=True)
    single = evaluated(run, named, folder)
    grouped = evaluated(run, named, folder, "--group-by", "folder")
    assert grouped.data.units == len({Path(each.name).parent for each in grouped.answers})
    assert grouped.figures.accuracy.interval.low < single.figures.accuracy.interval.low
    assert grouped.figures.accuracy.rate == single.figures.accuracy.rate


def test_a_table_says_what_a_flat_folder_shows(run, named, names, parts, bundled, tmp_path):
    folder = parts(["."] * 10)
    lines = [f"{i:02}.png,{names[k].upper()}" for i, k in enumerate(bundled.labels[:40])]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    found = evaluated(run, named, folder, "--labels", tmp_path / "labels.csv")
    assert [each.expected for each in found.answers] == bundled.labels[:40].tolist()


def test_the_replay_does_the_same(run, named, names, parts, tmp_path):
    folder = parts(names).rename(tmp_path / "a folder; of parts")
    options = ["--at-least", 0.5, "--confidence", 0.9, "--pictures", 2, "--group-by", "folder"]
    out = tmp_path / "x.csv"
    found = evaluated(run, named, folder, *options, "--output", out, "--progress", "none")
    words = shlex.split(found.replay)
    assert words[:2] == ["orbitserve", "evaluate"]
    assert str(out) not in words
    assert evaluated(run, *words[2:]) == found


class TestBroken:
    @pytest.fixture
    def folder(self, names, parts):
        folder = parts(names)
        (folder / "gut" / "cut off.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        (folder / "=cmd" / "text.jpg").write_text("no image")
        return folder

    def test_a_broken_file_is_one_sentence(self, run, named, folder):
        code, out, err = run("evaluate", named, folder)
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "text.jpg" in err
        assert "--skip-unreadable leaves such files out" in err

    def test_broken_files_are_listed_in_every_format(self, run, named, names, folder, tmp_path):
        outputs = [tmp_path / "o.html", tmp_path / "o.csv"]
        words = [w for path in outputs for w in ("--output", path)]
        found = evaluated(run, named, folder, "--skip-unreadable", *words)
        assert found.figures.accuracy.total == 40
        assert [(each.name, each.expected) for each in found.unread] == [
            ("=cmd/text.jpg", names.index("=cmd")),
            ("gut/cut off.png", names.index("gut")),
        ]
        for each in found.answers:
            assert each.name.startswith(names[each.expected] + "/")
        for path in outputs:
            assert "cut off.png" in path.read_text("utf-8")
        text = run("evaluate", named, folder, "--skip-unreadable")[1]
        assert "=cmd/text.jpg: " in text


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        (["misc"], "but the sub-folder misc is not"),
        (["."], "images lie in none"),
        (["."] * 10, "has no sub-folder with images that is"),
        (
            [f"part {k}" for k in range(10)],
            "has no sub-folder with images that is",
        ),
    ],
)
def test_what_is_not_labelled_is_one_sentence(run, named, names, parts, others, sentence):
    code, out, err = run("evaluate", named, parts([*others, *names[len(others) :]]))
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert sentence in err
    assert "one sub-folder a class, or --labels" in err
    assert "--no-labels" not in err


def test_images_without_labels_are_refused(run, bundled, tmp_path):
    save_audit_set(tmp_path / "bare.npz", AuditSet(bundled.images[:40]))
    code, _, err = run("evaluate", "rotmnist-c4-int8", tmp_path / "bare.npz")
    assert code == 3
    assert "bare.npz has no labels" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "has no model 'nobody'"),
        (["nobody.onnx", "examples"], "nobody.onnx cannot be read"),
        (["rotmnist-c4-int8", "nowhere"], "There is no nowhere"),
        (["rotmnist-c4-int8", "--labels", "x.csv"], "--labels is for a folder of image files"),
        (["rotmnist-c4-int8", "--output", "x.pdf"], "x.pdf tells no format; one that ends in .txt"),
        (["rotmnist-c4-int8", "--output", "no-such-folder/x.csv"], "cannot be written"),
        (["rotmnist-c4-int8", "--at-least", "2"], "--at-least"),
        (["rotmnist-c4-int8", "--group-by", "folder"], "--group-by groups image files"),
        ([f"{MODEL}/model.onnx"], "has no images of its own"),
        (["http://127.0.0.1:9/models/x", "examples"], "cannot be asked: Connection refused"),
    ],
)
def test_what_is_refused_is_one_sentence_and_status_3(run, arguments, sentence):
    code, out, err = run("evaluate", *arguments)
    assert (code, out) == (3, "")
    assert err.startswith("orbitserve: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_progress_goes_to_standard_error(run, named, names, parts):
    code, out, err = run("evaluate", named, parts(names), "--json", "--progress", "plain")
    assert code == 0
    assert json.loads(out)["kind"] == "evaluation"
    assert "images: 40 of 40" in err
    assert "evaluation: 40 of 40" in err


def test_the_accuracy_is_that_of_the_card(run, tmp_path):
    """Its error was measured on other images of the same data set, by other code."""
    card = load_card(Path(MODEL) / "card.json")
    found = evaluated(run, "rotmnist-c4-int8").figures.accuracy
    right = 1 - card.metrics["test"].error_percent / 100
    assert found.interval.low <= right <= found.interval.high


def test_names_that_are_no_utf_8_are_written_out(run, named, names, parts, tmp_path):
    folder = parts(names)
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe4"))
    try:
        folder.rename(strange)
    except OSError:
        pytest.skip("This file system takes names in UTF-8 alone.")
    (strange / "gut" / "broken.png").write_bytes(b"")
    outputs = [tmp_path / f"o.{report_format}" for report_format in ("html", "json", "csv")]
    words = [word for path in outputs for word in ("--output", path)]
    code, out, err = run("evaluate", named, strange, "--skip-unreadable", *words)
    assert (code, err) == (0, "")
    found = Evaluation.model_validate_json(outputs[1].read_bytes())
    assert found.data.source.endswith("/\\xff\\xe4")
    assert "\\xff" in found.replay
    assert "\\xff" in found.unread[0].reason
    assert "\\xff" in out


def test_classes_that_no_report_can_hold_are_no_names(run, tmp_path, parts):
    model = onnx.load(f"{MODEL}/model.onnx")
    for entry in model.metadata_props:
        if entry.key == "classes":
            entry.value = json.dumps(["\ud800", *"123456789"])
    onnx.save(model, tmp_path / "strange.onnx")
    found = evaluated(run, tmp_path / "strange.onnx", parts([str(k) for k in range(10)]))
    assert found.model.classes == ()
    assert found.figures.accuracy.count >= 38
