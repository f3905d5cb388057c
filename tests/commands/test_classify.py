"""`orbitserve classify` on folders: every file has a line, whatever it is and is called."""

import csv
import errno
import fcntl
import io
import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from artifact.audit_set import load_audit_set
from artifact.session import open_session
from commands.classify import partial, table
from commands.classify import run as classifying
from commands.classify.answer import Answer, Model, Shape
from commands.classify.partial import Partial
from commands.names import from_one_line, on_one_line, written
from imaging import RefusedError
from service.engine import Inference, Session
from tests.disks import largest_file
from tests.program import start

MODEL = "rotmnist-c4-int8"
ASKED = ("classify", "--model", MODEL)
VERSION = Path("model_repository") / MODEL / "1"
DIGITS = load_audit_set(VERSION / "audit.npz").images[:40, 0]
FORMATS = ("text", "csv", "jsonl", "parquet")
EVIL = (
    "a\n0.9999  4  forged.png",
    "tab\there.png",
    'quote",comma.png',
    "two  spaces.png",
    " begins.png",
    "back\\nslash.png",
    "line\u2028separator\x85next.png",
    "right\u202egnp.png",
    "=cmd|' C calc'!A0.png",
    "'apostrophe.png",
    "\x1b[2Jescape.png",
    "不良\u00a0.png",
)


@pytest.fixture(autouse=True)
def unproved(monkeypatch):
    """A proof takes time, and is not what is tried here."""
    monkeypatch.setenv("ORBITSERVE_PROOF", "off")


@pytest.fixture
def folder(tmp_path):
    """Forty digits, and what else lies in folders."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for i, digit in enumerate(DIGITS):
        Image.fromarray(digit).save(folder / f"{i:02}.png")
    (folder / "._00.png").write_bytes(b"Mac OS X")
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs" / "00.png").write_bytes(b"Mac OS X")
    (folder / "notes.txt").write_text("none of the images")
    return folder


def names(folder):
    return [f"{folder}/{i:02}.png" for i in range(len(DIGITS))]


def read(path):
    """The values of a file of answers, by its columns."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_bytes().decode().splitlines()]
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def test_every_format_says_the_same(run, folder, tmp_path):
    tables = {}
    for ending in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"out.{ending}"
        assert run(*ASKED, folder, "--top-k", 2, "--output", out)[:2] == (0, "")
        tables[ending] = read(out)
        assert [row["file"] for row in tables[ending]] == names(folder)
    for line, cells, values in zip(
        *(tables[name] for name in ("jsonl", "csv", "parquet")), strict=True
    ):
        second = line["top"][1]
        assert line["top"][0] == {name: line[name] for name in ("label", "index", "probability")}
        for found in (cells, values):
            assert found["label"] == line["label"]
            assert found["label_2"] == second["label"]
            assert int(found["index_2"]) == second["index"]
            assert float(found["probability"]) == line["probability"]
            model = line["model"]
            assert found["model"] == f"{model['name']}/{model['version']}@{model['digest']}"
            assert not found["error"]
    code, text, _ = run(*ASKED, folder)
    assert code == 0
    assert text.splitlines() == [
        f"{line['probability']:.4f}  {line['label']}  {line['file']}" for line in tables["jsonl"]
    ]


def test_the_answers_are_those_of_the_file(run, folder):
    _, out, _ = run(*ASKED, folder, "--format", "jsonl", "--top-k", 99)
    lines = [json.loads(line) for line in out.splitlines()]
    session = open_session((VERSION / "model.onnx").read_bytes(), 1)
    (expected,) = session.run(["probabilities"], {"image": DIGITS[:, None]})
    for line, row in zip(lines, expected, strict=True):
        assert {each["index"]: each["probability"] for each in line["top"]} == (
            dict(enumerate(row.tolist()))
        )
        assert line["probability"] == row.max()


BROKEN = {
    "10-empty.png": lambda path: path.touch(),
    "11-text.jpg": lambda path: path.write_text("no image"),
    "12-cut.png": lambda path: path.write_bytes((path.parent / "00.png").read_bytes()[:-30]),
    "13-link.png": lambda path: path.symlink_to("nowhere"),
    "14-fifo.png": os.mkfifo,
    "15-device.png": lambda path: path.symlink_to("/dev/zero"),
    "16-huge.bmp": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40),
    "17-wide.png": lambda path: Image.new("1", (70_000, 2)).save(path),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("form", FORMATS)
def test_a_broken_file_is_a_line_and_not_the_end(run, folder, tmp_path, form):
    for name, make in BROKEN.items():
        make(folder / name)
    out = tmp_path / f"out.{form.replace('text', 'txt')}"
    code, _, err = run(*ASKED, folder, "--output", out, "--progress", "none")
    assert code == 3
    assert err == "orbitserve: 8 of 48 files were not classified; their lines say why.\n"
    if form == "text":
        lines = out.read_text().splitlines()
        assert len(lines) == 48
        assert [line.split("  ")[2] for line in lines if line.startswith("error  ")] == [
            f"{folder}/{name}" for name in BROKEN
        ]
        return
    rows = read(out)
    assert [row["file"] for row in rows] == sorted(
        [*names(folder), *(f"{folder}/{n}" for n in BROKEN)]
    )
    reasons = {Path(row["file"]).name: row["error"] for row in rows if row.get("error")}
    assert reasons.keys() == BROKEN.keys()
    assert all(reason.endswith(".") for reason in reasons.values())
    assert reasons["14-fifo.png"] == "The file is a FIFO; a regular file is accepted."
    assert all(row.get("label") for row in rows if not row.get("error"))


def test_a_file_that_ends_its_batch_early_takes_no_answer_along(run, folder):
    """Answers are those of the same images without the broken ones."""
    _, alone, _ = run(*ASKED, folder)
    (folder / "00-broken.png").touch()
    code, beside, _ = run(*ASKED, folder)
    assert code == 3
    assert [line for line in beside.splitlines() if not line.startswith("error")] == (
        alone.splitlines()
    )


def test_memory_that_is_short_is_said_of_the_image(run, folder, monkeypatch):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr("service.decoding.files.decode_and_fit", short)
    code, out, _ = run(*ASKED, folder / "00.png")
    assert code == 3
    assert out == f"error  There is not enough memory for this image.  {folder}/00.png\n"


def test_numbers_that_are_not_finite_are_no_answer(run, folder, tmp_path, monkeypatch):
    """They were ranked like others, and some formats cannot write them."""

    def run_undefined(session, images, *rest):
        logits, probabilities = computed(session, images, *rest)
        if len(images) > 2:  # as many are looked at when it is loaded
            logits[1], probabilities[2, 3] = np.nan, np.inf
        return Inference(logits, probabilities)

    _, alone, _ = run(*ASKED, folder)
    computed = Session.run
    monkeypatch.setattr(Session, "run", run_undefined)
    code, found, printed = run(*ASKED, folder)
    assert code == 3
    undefined = (1, 2, 33, 34)  # of batches of 32
    assert f"{len(undefined)} of 40 files were not classified" in printed
    for i, (line, due) in enumerate(zip(found.splitlines(), alone.splitlines(), strict=True)):
        if i in undefined:
            assert line.startswith("error  The model gives numbers that are not finite")
        else:
            assert line == due


def test_a_folder_that_cannot_be_listed_is_no_empty_one(run, folder, monkeypatch):
    def refused(place):
        raise PermissionError(13, "Permission denied", f"{place}/inner")

    monkeypatch.setattr("service.decoding.files.image_paths", refused)
    code, out, err = run(*ASKED, folder)
    assert (code, out) == (3, "")
    assert f"The folder {folder}/inner cannot be read: Permission denied." in err


class TestNames:
    @pytest.fixture
    def evil(self, tmp_path):
        folder = tmp_path / "evil"
        folder.mkdir()
        for name in EVIL:
            Image.fromarray(DIGITS[0]).save(folder / name, "PNG")
        try:
            raw = os.fsencode(folder) + b"/\xff\xe4.png"
            Path(os.fsdecode(raw)).write_bytes((folder / EVIL[0]).read_bytes())
        except OSError:
            pytest.skip("This file system takes names in UTF-8 alone.")
        return folder

    @pytest.mark.parametrize("form", FORMATS)
    def test_no_name_forges_a_line(self, run, evil, tmp_path, form):
        out = tmp_path / f"out.{form.replace('text', 'txt')}"
        assert run(*ASKED, evil, "--output", out)[0] == 0
        expected = sorted(str(evil / name).replace("\\", "\\\\") for name in EVIL)
        expected.append(f"{evil}/\\xff\\xe4.png")
        if form in ("jsonl", "parquet"):
            assert sorted(row["file"] for row in read(out)) == sorted(expected)
        if form == "parquet":
            return
        lines = out.read_bytes().decode().splitlines()  # at every break that Unicode knows
        assert len(lines) == len(expected) + (form == "csv")
        assert not any(sign in line for line in lines for sign in "\t\x1b\u202e")
        if form == "csv":
            assert all(None not in row and None not in row.values() for row in read(out))
        if form == "text":
            assert not any(line.endswith("4  forged.png") for line in lines)

    @pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
    def test_every_name_is_known_again(self, run, evil, tmp_path, form):
        out = tmp_path / f"out.{form}"
        assert run(*ASKED, evil, "--output", out)[0] == 0
        before = out.read_bytes()
        code, _, err = run(*ASKED, evil, "--output", out, "--resume")
        assert (code, err) == (0, f"{out}: {len(EVIL) + 1} lines kept, 0 added\n")
        assert out.read_bytes() == before

    def test_different_names_are_written_differently(self):
        paths = [
            *EVIL,
            "\udcff.png",
            "\\xff.png",
            "\\\\xff.png",
            "a\\\n.png",
            "a\\n.png",
            "a\n.png",
        ]
        assert len({on_one_line(written(path)) for path in paths}) == len(paths)
        for path in paths:
            assert from_one_line(on_one_line(written(path))) == written(path)

    def test_a_spreadsheet_runs_no_name(self):
        model = Model("a", 1, "sha256:0")
        answer = Answer("=cmd|' C calc'!A0.png", error="@It.", model=model)
        line = table.line(answer, Shape(1))
        assert line.startswith(b"\"'=cmd|")
        (again,) = table.read(io.BytesIO(table.head(Shape(1)) + line), Shape(1), ("0",))
        assert again == answer

    def test_a_label_forges_no_line_either(self, run, monkeypatch):
        label = "7  evil.png\n1.0000  3"
        answered = classifying.classification

        def renamed(identity, classes, *rest, **more):
            return answered(identity, [label] * len(classes), *rest, **more)

        monkeypatch.setattr(classifying, "classification", renamed)
        code, out, _ = run(*ASKED, "examples/seven.png")
        assert code == 0
        assert out.count("\n") == 1
        assert '  "7  evil.png\\n1.0000  3"  examples/seven.png' in out


@pytest.mark.slow
class TestResume:
    """A run that ended goes on; what it finished is not done again, and others' is not touched."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """How many images the model was asked."""
        seen, session = [], classifying.Classifier._top

        def top(self, images):
            seen.append(len(images))
            return session(self, images)

        monkeypatch.setattr(classifying.Classifier, "_top", top)
        return seen

    @pytest.fixture
    def interrupted(self, run, folder, tmp_path, monkeypatch):
        """Run until the second batch, in which Ctrl-C comes; return where the output is to be."""

        def interrupt(form, *options):
            out = tmp_path / f"out.{form}"
            top = classifying.Classifier._top
            calls = []

            def once(self, images):
                calls.append(images)
                if len(calls) == 2:
                    raise KeyboardInterrupt
                return top(self, images)

            with monkeypatch.context() as patch:
                patch.setattr(classifying.Classifier, "_top", once)
                code, printed, err = run(*ASKED, folder, "--output", out, *options)
            assert (code, printed) == (130, "")
            assert err == (
                f"orbitserve: 32 of 40 files are classified, and kept in {out}.partial; the same "
                "command with --resume goes on.\n"
            )
            assert not out.exists()
            return out

        return interrupt

    @pytest.mark.parametrize("form", ["txt", "csv", "jsonl", "parquet"])
    def test_after_an_interruption(self, run, folder, tmp_path, interrupted, asked, form):
        whole = tmp_path / f"whole.{form}"
        run(*ASKED, folder, "--output", whole)
        out = interrupted(form)
        asked.clear()
        code, _, err = run(*ASKED, folder, "--output", out, "--resume")
        assert (code, err) == (0, f"{out}: 32 lines kept, 8 added\n")
        assert sum(asked) == 8
        assert out.read_bytes() == whole.read_bytes()
        assert [path.name for path in tmp_path.glob("*partial*")] == []

    @pytest.mark.parametrize("tail", [b'{"file":"x', b"\0" * 100, b"\0" * 9 + b"\n"])
    def test_a_last_line_that_is_not_whole(self, run, folder, tmp_path, interrupted, tail):
        out = interrupted("jsonl")
        partial = out.with_name("out.jsonl.partial")
        partial.write_bytes(partial.read_bytes() + tail)
        assert run(*ASKED, folder, "--output", out, "--resume")[0] == 0
        assert [row["file"] for row in read(out)] == names(folder)

    @pytest.mark.parametrize(("form", "cut"), [("csv", 1), ("csv", 200), ("jsonl", 10)])
    def test_an_output_that_was_cut_off(self, run, folder, tmp_path, form, cut):
        out = tmp_path / f"out.{form}"
        run(*ASKED, folder, "--output", out)
        whole = out.read_bytes()
        out.write_bytes(whole[:-cut])
        assert run(*ASKED, folder, "--output", out, "--resume")[0] == 0
        assert out.read_bytes() == whole

    def test_new_files_are_added(self, run, folder, tmp_path, asked):
        out = tmp_path / "out.csv"
        run(*ASKED, folder, "--output", out)
        shutil.copy(folder / "00.png", folder / "000-new.png")
        asked.clear()
        code, _, err = run(*ASKED, folder, "--output", out, "--resume")
        assert (code, err) == (0, f"{out}: 40 lines kept, 1 added\n")
        assert asked == [1]
        assert [row["file"] for row in read(out)] == [*names(folder), f"{folder}/000-new.png"]

    def test_what_is_taken_over_is_so_at_once(self, tmp_path, monkeypatch):
        """A run that is killed meanwhile leaves no part of it that a later one goes on with."""
        model, out = Model("a", 1, "sha256:0"), tmp_path / "out.csv"
        answers = [Answer(f"{i}.png", error="No.", model=model) for i in range(3)]
        of = model, ("0",), Shape(1)
        with Partial(out, "csv", *of, resume=False) as kept:
            kept.write(answers)
            kept.finish()

        def watched(*arguments):
            for answer in table.read(*arguments):
                assert (tmp_path / "out.csv.partial").read_bytes() == b""
                yield answer

        monkeypatch.setitem(partial._READERS, "csv", watched)
        with Partial(out, "csv", *of, resume=True) as kept:
            assert kept.done == Counter(answer.file for answer in answers)
            with pytest.raises(RefusedError, match="is written by another run"):
                Partial(out, "csv", *of, resume=True)
            kept.write(answers[:1])
            kept.finish()
        assert [row["file"] for row in read(out)] == ["0.png", "1.png", "2.png", "0.png"]

    def test_a_run_that_is_refused_leaves_the_file_of_the_other(self, tmp_path):
        """It was empty until the first batch was answered, and was removed as nobody's."""
        of, out = (Model("a", 1, "sha256:0"), ("0",), Shape(1)), tmp_path / "out.csv"
        with Partial(out, "csv", *of, resume=False) as kept:
            with pytest.raises(RefusedError, match="is written by another run"):
                Partial(out, "csv", *of, resume=False)
            kept.write([Answer("0.png", error="No.", model=of[0])])
            kept.finish()
        assert len(read(out)) == 1

    def test_a_file_that_lost_its_name_is_not_written(self, tmp_path, monkeypatch):
        """Another run ended, and removed it, between its opening and its lock."""
        of, out = (Model("a", 1, "sha256:0"), ("0",), Shape(1)), tmp_path / "out.csv"
        lock = partial.fcntl.flock

        def late(file, how):
            (tmp_path / "out.csv.partial").unlink()
            lock(file, how)

        monkeypatch.setattr(partial.fcntl, "flock", late)
        with pytest.raises(RefusedError, match="is written by another run"):
            Partial(out, "csv", *of, resume=False)

    def test_a_disk_without_locks_is_said(self, tmp_path, monkeypatch):
        """It was said that another run writes the file."""
        of, out = (Model("a", 1, "sha256:0"), ("0",), Shape(1)), tmp_path / "out.csv"

        def lockless(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(partial.fcntl, "flock", lockless)
        with pytest.raises(RefusedError, match=r"out\.csv\.partial cannot be locked: No locks av"):
            Partial(out, "csv", *of, resume=False)

    def test_a_file_that_is_named_twice_has_two_lines(self, run, folder, interrupted):
        out = interrupted("jsonl")
        run(*ASKED, folder, folder / "00.png", "--output", out, "--resume")
        assert [row["file"] for row in read(out)] == [*names(folder), f"{folder}/00.png"]

    def test_broken_files_of_before_count(self, run, folder, tmp_path, interrupted):
        (folder / "01.png").write_bytes(b"")
        out = tmp_path / "out.jsonl"
        assert run(*ASKED, folder / "01.png", "--output", out)[0] == 3
        code, _, err = run(*ASKED, folder, "--output", out, "--resume", "--progress", "none")
        assert code == 3
        assert err == "orbitserve: 1 of 40 files was not classified; their lines say why.\n"

    @pytest.mark.parametrize(
        ("other", "sentence", "whole"),
        [
            (["--model", "rotmnist-cnn"], "is asked now; another --output is accepted", True),
            (["--top-k", 2], "is accepted", False),
        ],
    )
    def test_answers_of_another_question_are_refused(
        self, run, folder, tmp_path, interrupted, other, sentence, whole
    ):
        out = tmp_path / "out.csv"
        if whole:
            run(*ASKED, folder, "--output", out)
        else:
            interrupted("csv")
        before = {path: path.read_bytes() for path in tmp_path.glob("out*")}
        code, printed, err = run(*ASKED, folder, "--output", out, "--resume", *other)
        assert (code, printed) == (3, "")
        assert sentence in err
        assert err.count("\n") == 1
        assert {path: path.read_bytes() for path in tmp_path.glob("out*")} == before

    def test_what_is_begun_is_not_begun_anew_by_mistake(self, run, folder, interrupted):
        out = interrupted("csv")
        code, _, err = run(*ASKED, folder, "--output", out)
        assert code == 3
        assert "holds what an interrupted run has finished; --resume goes on" in err

    @pytest.mark.parametrize(
        ("ending", "text"),
        [
            ("csv", b"something else\n"),
            ("csv", b"\xff"),
            ("jsonl", b"{}\n"),
            ("jsonl", b'{"file":1}\nx\n'),
            ("parquet", b"\xff"),
            ("jsonl.partial", b'{"file":1}\nx\n'),
        ],
    )
    def test_a_file_of_somebody_else_stays_as_it_is(self, run, folder, tmp_path, text, ending):
        there = tmp_path / f"out.{ending}"
        there.write_bytes(text)
        out = tmp_path / f"out.{ending.removesuffix('.partial')}"
        code, _, err = run(*ASKED, folder / "00.png", "--output", out, "--resume")
        assert code == 3
        assert "accepted" in err
        assert err.count("\n") == 1
        assert there.read_bytes() == text
        assert [path.name for path in tmp_path.glob("out*")] == [there.name]

    def test_a_line_that_an_editor_has_ended_is_not_dropped(self, run, folder, tmp_path):
        """It was taken for one that was cut off, and the output written without it."""
        out = tmp_path / "out.csv"
        run(*ASKED, folder, "--output", out)
        first, *lines = out.read_bytes().splitlines(keepends=True)
        edited = b"".join([first, lines[0].replace(b"\r\n", b"\n"), *lines[1:]])
        out.write_bytes(edited)
        code, _, err = run(*ASKED, folder / "00.png", "--output", out, "--resume")
        assert code == 3
        assert "a line ends as its others do not" in err
        assert out.read_bytes() == edited

    def test_text_does_not_say_whose_it_is(self, run, folder, tmp_path):
        out = tmp_path / "out.txt"
        run(*ASKED, folder / "00.png", "--output", out)
        code, _, err = run(*ASKED, folder, "--output", out, "--resume")
        assert code == 3
        assert "does not say which model its lines are of" in err

    def test_two_at_once(self, run, folder, interrupted):
        out = interrupted("jsonl")
        with Path(f"{out}.partial").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            code, _, err = run(*ASKED, folder, "--output", out, "--resume")
        assert code == 3
        assert "is written by another run" in err


class TestOutput:
    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["--output", "out.doc"], "tells no format; --format, or one of .txt, .csv"),
            (["--format", "parquet"], "Parquet is a format of files; --output names one."),
            (["--resume"], "--resume goes on with a file; --output names it."),
            (["--output", "nowhere/out.csv"], "nowhere/out.csv cannot be written"),
            (["--output", "/dev/null", "--format", "csv"], "/dev/null is no regular one"),
            (["--output", "docs", "--format", "csv"], "docs is no regular one"),
            (["--top-k", "0"], "top-k"),
        ],
    )
    def test_what_cannot_be_done_is_told_before_it_is_begun(
        self, run, monkeypatch, options, sentence
    ):
        monkeypatch.setattr(classifying, "open_model", None)
        code, out, err = run(*ASKED, "examples", *options)
        assert (code, out) == (3, "")
        assert sentence in err
        assert err.count("\n") == 1

    def test_an_output_that_was_there_stays_until_the_new_one_is_whole(
        self, run, folder, tmp_path, monkeypatch
    ):
        out = tmp_path / "out.csv"
        out.write_text("before")

        write = partial.WRITERS["csv"]

        def fails(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setitem(partial.WRITERS, "csv", fails)
        code, _, err = run(*ASKED, folder, "--output", out)
        assert code == 3
        assert err == f"orbitserve: The file {out} cannot be written: No space left on device.\n"
        assert out.read_text() == "before"
        monkeypatch.setitem(partial.WRITERS, "csv", write)
        code, _, err = run(*ASKED, folder, "--output", out, "--resume")
        assert (code, err) == (0, f"{out}: 40 lines kept, 0 added\n")

    def test_parquet_that_is_not_installed(self, run, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        monkeypatch.setattr(classifying, "open_model", None)
        code, out, err = run(*ASKED, "examples", "--output", tmp_path / "out.parquet")
        assert (code, out) == (3, "")
        assert "The package pyarrow is not installed; " in err
        assert " -m pip install " in err
        assert err.count("\n") == 1

    def test_lines_come_as_batches_finish(self, run, folder, monkeypatch, tmp_path):
        top, out, seen = classifying.Classifier._top, tmp_path / "out", []

        def watched(self, images):
            seen.append(out.read_bytes().count(b"\n"))
            return top(self, images)

        monkeypatch.setattr(classifying.Classifier, "_top", watched)
        with out.open("w") as printed, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", printed)
            run(*ASKED, folder)
        assert seen == [0, 32]
        assert out.read_bytes().count(b"\n") == len(DIGITS)

    def test_the_engine_has_ended_when_the_command_does(self, run, folder, monkeypatch):
        """Else a thread inside of onnxruntime may end the process by SIGABRT."""
        opened, open_model = [], classifying.open_model

        def opening(*asked):
            opened.append(open_model(*asked))
            return opened[0]

        def interrupt(self, images):
            raise KeyboardInterrupt

        monkeypatch.setattr(classifying, "open_model", opening)
        monkeypatch.setattr(classifying.Classifier, "_top", interrupt)
        assert run(*ASKED, folder)[0] == 130
        assert not opened[0].session.ready


def test_few_images_are_held(monkeypatch):
    """However many files there are, some are read ahead and no more."""
    from service.decoding import files

    taken = []
    monkeypatch.setattr(files, "read_image", lambda path, *_: np.zeros((1, 1, 1, 1), np.uint8))

    def paths():
        for i in range(1000):
            taken.append(i)
            yield Path(f"{i}.png")

    ahead = files.read_ahead(paths(), None, 0, threads=2, ahead=8)
    for given in range(1, 900):
        next(ahead)
        assert len(taken) - given < 8
    ahead.close()


class TestProcesses:
    """What only a process of its own shows."""

    def test_a_disk_that_is_full(self, run, folder, tmp_path):
        out = tmp_path / "out.jsonl"
        with largest_file(3000):
            code, _, err = run(*ASKED, folder, "--output", out)
        assert code == 3
        assert err == f"orbitserve: The file {out}.partial cannot be written: File too large.\n"
        assert not out.exists()
        assert Path(f"{out}.partial").stat().st_size == 3000
        assert run(*ASKED, folder, "--output", out, "--resume")[0] == 0
        assert [row["file"] for row in read(out)] == names(folder)

    @pytest.mark.slow
    def test_a_run_that_is_killed_goes_on(self, run, folder, tmp_path):
        out = tmp_path / "out.jsonl"
        process = start([*ASKED, *[str(folder)] * 50, "--output", str(out)])
        partial = Path(f"{out}.partial")
        try:
            while process.poll() is None and not (partial.exists() and partial.stat().st_size):
                pass
            process.kill()
            assert process.wait(60) in (0, -signal.SIGKILL)
        finally:
            process.end()
        assert run(*ASKED, *[folder] * 50, "--output", out, "--resume")[0] == 0
        assert [row["file"] for row in read(out)] == names(folder) * 50
