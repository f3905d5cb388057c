"""Work in bulk in this process: what it says is what the commands say without it."""

import json
import pickle
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from audit import Journal
from audit.angles.answers import AtAngles, InDisc
from audit.canonical import report_digest
from audit.options import AuditOptions
from audit.pipeline import run_pipeline
from audit.questions import OnGrid
from bulk.auditing import Ask, AuditWorkers, Store, without
from bulk.classifying import classify_pieces, piece_size
from bulk.engine import Here, Lost
from bulk.pieces import Files
from imaging import GridSymmetry, RefusedError, Resampler
from service.audits.targets import version_under_test
from service.repository.local import open_model
from service.settings import Settings

MODEL = "rotmnist-c4"  # of floats, whose sums depend on their order
ASKED = AuditOptions(angles=8)


@pytest.fixture(scope="module")
def opened():
    model = open_model(MODEL, Settings(repository=Path("model_repository"), device="cpu"))
    yield model
    model.session.close()


@pytest.fixture(scope="module")
def even(digits):
    """Two batches of equal size."""
    return digits.spread(32)


@pytest.fixture
def store(tmp_path, even):
    path = tmp_path / "images"
    path.touch()
    stored = Store(str(path), even.images.shape)
    stored.write(0, even.images)
    return stored


class Backwards:
    """An engine whose workers end in the opposite order, and which takes results as they come."""

    def run(self, make, pieces, split=None):
        work = make()
        return zip(pieces, [work(piece) for piece in reversed(pieces)], strict=True)


class Unordered:
    """The same, which says so."""

    def run(self, make, pieces, split=None):
        return reversed([*Here().run(make, pieces)])


class Forgetful:
    """An engine that loses a piece of which its worker died."""

    def run(self, make, pieces, split=None):
        for place, found in enumerate(Here().run(make, pieces)):
            if place != 1:
                yield found


class Deadly:
    """An engine no worker of which survives."""

    def run(self, make, pieces, split=None):
        return (
            (piece, Lost("Every worker that was given it was killed, 3 times")) for piece in pieces
        )


class Interrupted:
    """An engine that is ended after some pieces."""

    def run(self, make, pieces, split=None):
        yield from islice(Here().run(make, pieces), 3)
        raise KeyboardInterrupt


def recorded(under_test, journal):
    return replace(under_test, workers=journal.remember_workers("these", under_test.workers))


@pytest.fixture(scope="module")
def plain(opened, even):
    return audited(version_under_test(opened), even)


def audited(under_test, digits):
    options = ASKED.resolve("fp32", "C4", 0)
    under_test = replace(under_test, batch_size=16)
    return run_pipeline(under_test, digits, options, source="digits")


def by(engine, opened, store):
    under_test = version_under_test(opened)
    workers = AuditWorkers(engine, pickle.loads(pickle.dumps(under_test.opened)), store, 2)
    return replace(under_test, workers=workers)


@pytest.mark.slow
class TestAudit:
    def test_the_report_is_the_same_to_the_byte(self, opened, store, even, plain):
        report = audited(by(Here(), opened, store), even)
        assert report.model_dump_json() == plain.model_dump_json()
        assert report_digest(report) == report_digest(plain)

    def test_answers_in_the_order_in_which_they_arrive_make_another(
        self, opened, store, even, plain
    ):
        """The mutant that merges what comes as it comes: the digest has to refuse it."""
        assert report_digest(audited(by(Backwards(), opened, store), even)) != report_digest(plain)

    @pytest.mark.parametrize("engine", [Forgetful(), Unordered()])
    def test_a_piece_that_is_lost_or_late_is_no_audit(self, engine, opened, store, even):
        """The mutant that goes on without what a worker died of."""
        with pytest.raises((RuntimeError, ValueError), match=r"another order|shorter than"):
            audited(by(engine, opened, store), even)

    def test_workers_that_all_die(self, opened, store, even):
        with pytest.raises(RefusedError) as refused:
            audited(by(Deadly(), opened, store), even)
        assert str(refused.value) == (
            "A part of the audit cannot be done: every worker that was given it was killed, 3 "
            "times; fewer workers at once have more memory each."
        )

    def test_an_audit_goes_on_where_it_was(self, opened, store, even, plain, tmp_path):
        """Whatever ends it: what was answered is not asked again, and the report is the same."""
        path = tmp_path / "answers"
        with Journal(path) as journal, pytest.raises(KeyboardInterrupt):
            audited(recorded(by(Interrupted(), opened, store), journal), even)
        with Journal(path) as journal:
            report = audited(recorded(by(Here(), opened, store), journal), even)
            assert journal.kept > 32
            assert journal.kept + journal.asked > 32 * 20
        assert report.model_dump_json() == plain.model_dump_json()
        with Journal(path) as journal:
            audited(recorded(by(Deadly(), opened, store), journal), even)
            assert journal.asked == 0

    def test_a_few_images_are_asked_about_here(self, opened, even):
        """Workers hold the whole set, and are not asked where that is not audited."""
        under_test = replace(version_under_test(opened), workers=lambda questions: 1 / 0)
        options = replace(ASKED.resolve("fp32", "C4", 0), most_images=20, angles=None)
        run_pipeline(under_test, even, options, source="digits")

    def test_a_worker_that_runs_it_otherwise(self, opened):
        made = version_under_test(opened).opened
        other = replace(made, expected=made.expected.model_copy(update={"cpu": "a faster one"}))
        with pytest.raises(RefusedError, match=r"by other means .*cpu .* instead of a faster one"):
            other()

    def test_a_folder_that_a_machine_does_not_see(self, tmp_path):
        with pytest.raises(RefusedError, match=r"does not see .*--scratch names a folder"):
            Ask(lambda: None, Store(str(tmp_path / "elsewhere"), (1, 1, 2, 2)))


def test_questions_travel(digits):
    images, places = digits.images, np.array([3, 1, 77])
    for question in (
        OnGrid(slice(2, 9)),
        OnGrid(places, GridSymmetry(True, 3)),
        InDisc(slice(0, 5), 7),
        AtAngles(slice(0, 3), np.array([1.0, 2.0, 3.0]), Resampler("bicubic", 0), True),
    ):
        here = [*question.batches(images)]
        there = [*pickle.loads(pickle.dumps(question)).batches(images)]
        assert len(here) == len(there) > 0
        assert all(map(np.array_equal, here, there))


@pytest.mark.parametrize("gaps", [[0], [31], [3, 4, 5, 20], [*range(0, 32, 2)]])
def test_gaps_are_closed(store, even, gaps):
    left = without(store, gaps)
    assert np.array_equal(left.images(), np.delete(even.images, gaps, axis=0))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1000, 10**6])
def test_pieces_are_whole_batches(count):
    for workers in (1, 2, 64):
        size = piece_size(count, 32, workers)
        assert size % 32 == 0
        assert 32 <= size <= 1024
    assert piece_size(10**6, 32, 2) == 1024
    assert piece_size(10**6, 2000, 2) == 2000


def test_an_image_that_no_worker_survives_has_a_line():
    """Nothing is lost: it is named, and says why."""
    (found,) = classify_pieces([Files(0, ("a.png",))], Deadly(), lambda: None)
    assert found.names == ("a.png",)
    assert found.errors == {0: "Every worker that was given it was killed, 3 times."}


@pytest.mark.slow
class TestCommands:
    def test_rows_are_classified_as_files_are(self, run, folder, contents, write_table, tmp_path):
        table = write_table({"image": contents, "label": [0] * 150})
        code, out, _ = run("classify", table, "--model", MODEL, "--format", "jsonl")
        assert code == 0
        rows = [json.loads(line) for line in out.splitlines()]
        assert [row["file"] for row in rows] == [f"{table}#{i}" for i in range(150)]
        files = sorted(folder.rglob("*.png"), key=lambda path: path.name)
        code, out, _ = run("classify", *files, "--model", MODEL, "--format", "jsonl")
        assert code == 0
        for row, line in zip(rows, out.splitlines(), strict=True):
            assert row | {"file": ""} == json.loads(line) | {"file": ""}

    def test_it_goes_on_where_it_was(self, run, contents, write_table, tmp_path):
        table, out = write_table({"image": contents}), tmp_path / "out.csv"
        asked = ["classify", table, "--model", MODEL, "--output"]
        assert run(*asked, tmp_path / "once.jsonl")[0] == 0
        lines = (tmp_path / "once.jsonl").read_bytes().splitlines(keepends=True)
        Path(f"{out}.partial").write_bytes(b"".join(lines[:60]) + lines[60][:20])
        code, _, err = run(*asked, out, "--resume")
        assert (code, err) == (0, f"{out}: 60 lines kept, 90 added\n")
        assert len(out.read_bytes().splitlines()) == 151

    def test_a_row_in_the_middle_that_is_no_image(self, run, contents, write_table):
        table = write_table({"image": [*contents[:70], b"no image", *contents[70:]]})
        code, out, err = run("classify", table, "--model", MODEL)
        assert code == 3
        assert err == "orbitserve: 1 of 151 files was not classified; their lines say why.\n"
        lines = out.splitlines()
        assert len(lines) == 151
        assert lines[70].startswith("error  ")
        assert lines[70].endswith(f"{table}#70")

    def test_rows_are_audited_as_an_audit_set_is(
        self, run, digits, contents, write_table, tmp_path
    ):
        table = write_table({"image": contents, "label": digits.labels.tolist()})
        found = tmp_path / "table.json"
        run("audit", MODEL, "--images", table, "--output", found, "--progress", "none")
        table_report = json.loads(found.read_bytes())
        npz = tmp_path / "audit.npz"
        npz.write_bytes(digits.to_bytes())
        run("audit", MODEL, "--images", npz, "--output", found, "--progress", "none")
        report = json.loads(found.read_bytes())
        assert table_report["data"].pop("files")[149] == f"{table}#149"
        for each in (report, table_report):
            each["data"].pop("source"), each["data"].pop("files", None), each.pop("replay")
        # Their names are said of the worst images.
        assert table_report["figures"] == report["figures"]
        assert table_report == report

    def test_unreadable_images_end_an_audit_or_are_left_out(self, run, folder, tmp_path):
        for name in ("004", "040"):
            next(folder.rglob(f"{name}.png")).write_bytes(b"")
        asked = ["audit", f"{MODEL}-int8", "--images", folder, "--no-labels", "--scratch", tmp_path]
        code, _, err = run(*asked)
        assert code == 3
        assert err.count("\n") == 1
        assert "2 of 150 images cannot be read, " in err
        assert err.endswith("; --skip-unreadable audits the others.\n")
        out = tmp_path / "report.json"
        code, _, err = run(*asked, "--skip-unreadable", "--output", out)
        assert err.count("Left out: ") == 2
        assert "2 of 150 images cannot be read, and the report says how many are audited." in err
        data = json.loads(out.read_bytes())["data"]
        assert data["source"] == f"{folder}, 148 of 150"
        assert data["count"] == len(data["files"]) == 148
        assert not any(name.endswith(("004.png", "040.png")) for name in data["files"])

    @pytest.mark.parametrize("option", ["--workers=2", "--object-store=100", "--ray-address=auto"])
    def test_options_of_ray_without_it(self, run, folder, option):
        code, _, err = run("classify", folder, option)
        assert (code, err.count("\n")) == (3, 1)
        assert "--engine ray asks for them" in err

    @pytest.mark.parametrize("command", [["classify"], ["audit", MODEL, "--images"]])
    def test_ray_without_its_extra(self, run, folder, command, monkeypatch):
        monkeypatch.setattr("bulk.on_ray.find_spec", lambda name: None)
        code, out, err = run(*command, folder, "--engine", "ray")
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "needs the extra 'ray', which is not installed; " in err

    def test_a_column_of_no_table(self, run, folder):
        code, _, err = run("classify", folder, "--image-column", "image")
        assert (code, err) == (
            3, "orbitserve: --image-column is for Parquet files, and none is named.\n"
        )  # fmt: skip


class TestLabels:
    """What is said of labels is done, or refused: nobody guesses afterwards which were read."""

    @pytest.mark.parametrize("option", ["--label-column", "--image-column"])
    def test_a_column_without_a_table(self, run, folder, option):
        status, out, err = run("audit", MODEL, "--images", folder, option, "label")
        assert (status, out) == (3, "")
        assert "none is named" in err

    @pytest.mark.parametrize("more", [["--no-labels"], ["--labels", "labels.csv"]])
    def test_two_places_of_them(self, run, folder, more):
        asked = ["--images", folder, "--label-column", "label"]
        status, out, err = run("audit", MODEL, *asked, *more)
        assert (status, out) == (3, "")
        assert "one may" in err

    @pytest.mark.parametrize(("more", "status"), [([], 2), (["--label-column", "label"], 3)])
    def test_a_table_with_them_beside_images_without(
        self, run, write_table, folder, contents, more, status
    ):
        table = write_table({"image": contents[:5], "label": [0] * 5})
        images = ["--images", table, "--images", next(folder.rglob("*.png"))]
        found, _, err = run("audit", MODEL, *images, *more)
        assert found == status
        assert "not all images are in such tables" in err
