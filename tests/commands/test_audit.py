"""`orbitserve audit`: what it audits, where its report goes, what its exit status says."""

import json
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from audit import Report
from audit.canonical import canonical_json, report_digest
from audit.render import FORMATS
from commands.verdicts import exit_status, read_fail_on
from service.decoding.files import find_images, read_images
from service.ledger import LedgerError, open_ledger
from tests.permissions import held_to_permissions
from tests.program import start

KEY = "a-key-of-an-auditor"
NAME = "rotmnist-c4-small-int8"
MODEL = f"model_repository/{NAME}/1"
ORBIT = ["--images", f"{MODEL}/audit.npz"]


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """An audit set of forty digits, with their labels."""
    whole = load_audit_set(Path(MODEL) / "audit.npz")
    path = tmp_path_factory.mktemp("few") / "few.npz"
    save_audit_set(path, AuditSet(whole.images[:40], whole.labels[:40]))
    return path


@pytest.fixture(scope="module")
def eighty(tmp_path_factory):
    """As many digits as a file has to be given that is proved."""
    path = tmp_path_factory.mktemp("eighty") / "some.npz"
    save_audit_set(path, AuditSet(load_audit_set(Path(MODEL) / "audit.npz").images[:80]))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same digits as files."""
    folder = tmp_path_factory.mktemp("digits")
    for i, image in enumerate(load_audit_set(Path(MODEL) / "audit.npz").images[:40]):
        Image.fromarray(image[0]).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def printed():
    return {}


@pytest.fixture
def audited(run, few, printed):
    """Audit the forty digits with more options, once for all tests; return what it prints."""

    def once(*options):
        if options not in printed:
            asked = ["--images", few, "--json", *options]
            printed[options] = run("audit", NAME, *asked)[1]
        return printed[options]

    return once


class TestTarget:
    @pytest.mark.slow
    def test_a_bare_file_gets_the_verdict_of_its_version(self, run, eighty):
        asked = ["--images", eighty, "--json"]
        code, out, _ = run("audit", f"{MODEL}/model.onnx", *asked)
        report, whole = (
            json.loads(out),
            json.loads(run("audit", NAME, *asked)[1]),
        )
        assert code == 0
        for part in ("verdict", "figures", "self_test", "noise_floor"):
            assert report[part] == whole[part]
        assert report["model"]["sha256"] == whole["model"]["sha256"]

    @pytest.mark.slow
    def test_files_and_an_audit_set_of_the_same_images_are_the_same(self, run, audited, folder):
        of_set = json.loads(audited())
        of_files = json.loads(run("audit", NAME, "--images", folder, "--json")[1])
        assert of_set["figures"]["accuracy"]["count"] == 40
        assert of_files["figures"]["accuracy"] is None
        for figures in (of_set["figures"], of_files["figures"]):
            del figures["accuracy"], figures["answers"]["expected"]
            assert sum(cell["images"] for cell in figures.pop("classes")) == 40
        assert of_set["figures"] == of_files["figures"]

    def test_a_proof_past_its_limits_is_a_sentence(self, run, few, monkeypatch):
        """Nothing is proved then, and the images decide."""
        monkeypatch.setenv("ORBITSERVE_PROOF_TIMEOUT", "1e-6")
        asked = ["--images", few, "--progress", "none", "--json"]
        code, out, _ = run("audit", f"{MODEL}/model.onnx", *asked)
        report = json.loads(out)
        assert (code, report["verdict"], report["proof"]["outcome"]) == (2, "INCONCLUSIVE", None)
        assert "The proof takes more than the 1e-06 s" in report["proof"]["reasons"][0]
        assert "The proof takes more than the 1e-06 s" in report["claim"][0]

    @pytest.mark.slow
    def test_a_proved_file_needs_few_images_over_the_group_that_it_is_proved_for(self, run, eighty):
        code, out, _ = run("audit", NAME, "--images", eighty, "--json")
        report = json.loads(out)
        assert (code, report["verdict"]) == (0, "PASS")
        assert report["proof"]["covers"] and report["proof"]["outcome"] == "PROVED"
        assert "The file is PROVED over C4" in report["claim"][0]
        code, out, _ = run("audit", NAME, "--images", eighty, "--group", "D4")
        assert code != 0 and "The file is NOT PROVED over D4" in out

    def test_a_version_past_the_limits_of_its_proof_is_not_opened(self, run, few, monkeypatch):
        monkeypatch.setenv("ORBITSERVE_PROOF", "enforce")
        monkeypatch.setenv("ORBITSERVE_PROOF_TIMEOUT", "1e-6")
        code, out, err = run("audit", NAME, "--images", few)
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "The proof takes more than the 1e-06 s" in err

    def test_images_are_mapped_from_a_file(self, folder):
        from artifact.card import load_card

        spec = load_card(Path(MODEL) / "card.json").input
        seen = []
        paths = find_images([folder])
        images = read_images(paths, spec, 2**20, lambda *done: seen.append(done))
        assert seen[-1] == (40, 40)
        assert isinstance(images.base, np.memmap)
        expected = load_audit_set(Path(MODEL) / "audit.npz").images[:40]
        assert np.array_equal(images, expected)

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([f"{MODEL}/model.onnx"], "has no images of its own"),
            (["nobody.onnx"], "nobody.onnx cannot be read: No such file"),
            (["pyproject.onnx", *ORBIT], "cannot be read"),
            (["rotmnist-c4", "--model", "x"], "is for the address of a service"),
            (["rotmnist-c4", "--images", "nobody.npz"], "is not an audit set"),
            (["http://127.0.0.1:9/models/x", *ORBIT], "cannot be asked: Connection refused"),
            (["http://me:secret@a/models/x", *ORBIT], "holds a user or a password"),
            (["--format", "pdf"], "There is no format 'pdf'; json, text"),
            (["--output", "report.pdf"], "tells no format"),
            (["--output", "no-such-folder/report.json"], "cannot be written"),
            (["--output", "docs", "--format", "json"], "is no regular one"),
            (["--format", "text", "--output", "a.json", "--output", "b.json"], "several --output"),
            (["--json", "--format", "text"], "--json and --format"),
            (["--agreement", "nan"], "Invalid value for '--agreement'"),
            (["--fail-on", "pass"], "--fail-on is 'pass'; fail, inconclusive"),
            (["--resume", "README.md"], "holds no answers of an audit"),
            (["--progress", "loud"], "loud"),
        ],
    )
    def test_what_is_refused_is_one_sentence_and_status_3(self, run, arguments, sentence):
        code, out, err = run("audit", *arguments)
        assert (code, out) == (3, "")
        assert err.startswith("orbitserve: ")
        assert sentence in err
        assert err.count("\n") == 1
        assert "secret" not in err


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a service with keys, started by the command; it holds one model."""
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(Path(MODEL).parent, root / "models" / NAME)
    (root / "keys").write_text(f"auditor infer {KEY}\n")
    options = ["--port", "0", "--device", "cpu", "--threads", "1", "--proof", "off"]
    options += ["--repository", root / "models", "--api-keys", root / "keys"]
    process = start(["serve", *map(str, options)])
    try:
        log = ""
        while "running on" not in log or "repository loaded" not in log:
            line = process.stderr.readline()
            assert line, "the service did not start"
            log += line
        yield re.findall(r"running on (http://[\d.:]+)", log)[0]
    finally:
        process.end()


class TestOptions:
    @pytest.mark.slow
    def test_a_plan_says_what_is_asked_and_the_command_precedes(self, run, few, tmp_path):
        plan = tmp_path / "audit.yaml"
        plan.write_text(
            "requirement: REQ-7\noptions: {agreement: 0.9, class_agreement: 0.5, pictures: false}\n"
        )
        asked = ["audit", NAME, "--images", few, "--about", plan, "--json"]
        report = json.loads(run(*asked, "--agreement", "0.99")[1])
        assert report["about"]["requirement"] == "REQ-7"
        assert report["thresholds"]["class_agreement"] == 0.5
        assert report["thresholds"]["agreement"] == 0.99  # the default, and yet given
        assert json.loads(run(*asked)[1])["thresholds"]["agreement"] == 0.9
        plan.write_text("requirment: REQ-7\n")
        code, out, err = run(*asked)
        assert (code, out, err.count("\n")) == (3, "", 1) and "'requirment'" in err

    @pytest.mark.slow
    def test_a_quick_audit_says_what_it_leaves_open(self, run, tmp_path):
        code, out, _ = run("audit", NAME, "--quick", "--json", "--no-pictures")
        report = json.loads(out)
        assert (code, report["verdict"], report["data"]["count"]) == (0, "PASS", 100)
        claim = " ".join(report["claim"])
        assert "100 of 512 images were audited" in claim and "368 images" in claim
        assert "These images came with the model" in claim
        assert report["replay"].split()[-2:] == ["--quick", "--no-pictures"]
        assert run("audit", "rotmnist-cnn", "--quick", "--agreement", "0.5")[0] == 1

    @pytest.mark.slow
    def test_people_may_read_it_in_german(self, run, few, tmp_path):
        page, data = tmp_path / "report.html", tmp_path / "report.json"
        asked = ["audit", NAME, "--images", few]
        outputs = ["--output", page, "--output", data]
        code, out, _ = run(*asked, "--language", "de", *outputs)
        assert "Was behauptet wird:" in out and '<html lang="de">' in page.read_text()
        german = data.read_bytes()
        assert run(*asked, *outputs)[0] == code
        assert '<html lang="en">' in page.read_text() and data.read_bytes() == german
        code, out, err = run(*asked, "--language", "fr")
        assert (code, out) == (3, "") and "en" in err and "de" in err

    @pytest.mark.slow
    def test_what_takes_long_says_so_before(self, run, few, monkeypatch):
        asked = ["audit", NAME, "--images", few]
        assert run(*asked)[2] == ""
        monkeypatch.setattr("commands.audit.run._SHORT", 0)
        said = run(*asked)[2]
        assert re.search(r"At most \d+ images are classified, for 40 .* about \d+ seconds", said)
        assert run(*asked, "--progress", "none")[2] == ""


@pytest.mark.slow
class TestService:
    def test_a_running_service_is_audited_from_outside(self, run, served, tmp_path, monkeypatch):
        monkeypatch.setenv("ORBITSERVE_API_KEY", KEY)
        address = f"{served}/models/{NAME}"
        path = tmp_path / "report.json"
        code, out, err = run("audit", address, *ORBIT, "--output", path)
        assert (code, err) == (0, "")
        assert "made to answer otherwise where an image is brighter" in " ".join(out.split())
        report = json.loads(path.read_text())
        inside = json.loads(run("audit", NAME, *ORBIT, "--json")[1])
        for part in ("verdict", "model", "data", "figures"):
            assert report[part] == inside[part]
        pinned = f"{address}/versions/1"
        assert report["replay"] == shlex.join(["orbitserve", "audit", pinned, *ORBIT])
        assert KEY not in out + path.read_text()

    def test_without_its_key_it_is_not(self, run, served):
        code, out, err = run("audit", served, "--model", NAME, *ORBIT)
        assert (code, out) == (3, "")
        assert f"/models/{NAME} answers 401: " in err
        assert err.count("\n") == 1


class TestOutputs:
    def test_a_report_is_written_in_every_format(self, run, few, tmp_path):
        names = {
            name: tmp_path / f"report{rendering.suffix}" for name, rendering in FORMATS.items()
        }
        options = [word for path in names.values() for word in ("--output", path)]
        code, out, _ = run("audit", NAME, "--images", few, *options)
        assert code == 2
        report = Report.model_validate_json(names["json"].read_bytes())
        assert out.encode() == FORMATS["text"].render(report)
        for name, path in names.items():
            assert path.read_bytes() == FORMATS[name].render(report)
        assert {path.name for path in tmp_path.iterdir()} == {path.name for path in names.values()}

    @pytest.mark.slow
    def test_one_format_may_be_named(self, run, few, tmp_path):
        path = tmp_path / "anything"
        options = ["--images", few, "--format", "json", "--output", path]
        _, out, _ = run("audit", NAME, *options)
        assert out.startswith("INCONCLUSIVE")
        assert json.loads(path.read_text())["verdict"] == "INCONCLUSIVE"
        _, out, _ = run("audit", NAME, "--images", few, "--format", "json")
        assert out == path.read_text()

    def test_a_report_that_cannot_be_rendered_leaves_the_old_one(
        self, run, few, tmp_path, monkeypatch
    ):
        def fail(*_):
            raise ValueError("no")

        path = tmp_path / "report.json"
        path.write_text("the old one")
        monkeypatch.setattr("audit.render.rendering.Rendering.write", fail)
        code, _, _ = run("audit", NAME, "--images", few, "--output", path)
        assert code == 3
        assert [*tmp_path.iterdir()] == [path]
        assert path.read_text() == "the old one"

    @pytest.mark.parametrize(
        ("asked", "statuses"),
        [
            (None, {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}),
            ("fail,inconclusive", {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}),
            ("fail", {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 0}),
            (" Inconclusive", {"PASS": 0, "FAIL": 0, "INCONCLUSIVE": 2}),
            ("never", {"PASS": 0, "FAIL": 0, "INCONCLUSIVE": 0}),
        ],
    )
    def test_the_status_says_what_is_a_failure(self, asked, statuses):
        failures = read_fail_on(asked)
        assert {verdict: exit_status(verdict, failures) for verdict in statuses} == statuses

    @pytest.mark.slow
    def test_images_may_be_kept_out(self, audited):
        shown, kept_out = (
            Report.model_validate_json(audited("--angles", 8, *more))
            for more in ([], ["--no-pictures"])
        )
        for report, there in ((shown, True), (kept_out, False)):
            worst = [*report.worst, *report.angles.counterexamples]
            counterexamples = [getattr(each, "counterexample", each) for each in worst]
            assert len(counterexamples) >= 10
            assert {each.upright_png is not None for each in counterexamples} == {there}
        assert kept_out.figures == shown.figures
        assert kept_out.replay == f"{shown.replay} --no-pictures"

    @pytest.mark.slow
    def test_the_confidence_is_that_of_all_intervals(self, audited):
        usual, surer = (
            Report.model_validate_json(audited("--angles", 8, *more))
            for more in ([], ["--confidence", 0.999])
        )
        assert surer.thresholds.confidence == surer.angles.thresholds.confidence == 0.999
        assert surer.figures.agreement_interval.low < usual.figures.agreement_interval.low

    @pytest.mark.slow
    def test_a_verdict_that_is_no_failure_ends_well(self, run, few):
        asked = ["audit", NAME, "--images", few, "--fail-on"]
        assert run(*asked, "fail")[0] == 0
        assert run(*asked, "fail,inconclusive")[0] == 2


class TestLedger:
    @pytest.mark.slow
    def test_every_report_is_appended_and_listed(self, run, few, tmp_path):
        place = tmp_path / "audits"
        asked = ["audit", NAME, "--images", few, "--json", "--ledger", place]
        for number in (1, 2):
            code, out, err = run(*asked)
            report = Report.model_validate_json(out)
            assert code == 2
            assert f"{place}: entry {number}, report {report_digest(report)}, head " in err
        page = open_ledger(str(place)).page(10)
        assert [entry.number for entry in page.entries] == [2, 1]
        assert not page.faults
        kept = open_ledger(str(place)).read(page.entries[0].report)
        assert kept == canonical_json(report)
        assert "--ledger" not in report.replay

    def test_one_that_cannot_be_opened_is_refused_before_the_audit(self, run, few, tmp_path):
        (tmp_path / "file").write_text("")
        asked = ["--images", few, "--ledger", tmp_path / "file" / "audits"]
        code, out, err = run("audit", NAME, *asked)
        assert (code, out) == (3, "")
        *log, sentence = err.splitlines()
        assert sentence == (
            f"orbitserve: {tmp_path}/file/audits: The ledger cannot be written (Not a directory); "
            "the log says more."
        )
        assert len(log) == 1
        assert "Not a directory" in log[0]

    @pytest.mark.parametrize("name", ["reports", "circumstances", "entries"])
    def test_nor_is_one_that_takes_no_file(self, run, few, tmp_path, name):
        open_ledger(str(tmp_path))
        (tmp_path / name).chmod(0o555)
        with held_to_permissions():
            code, out, err = run("audit", NAME, "--images", few, "--ledger", tmp_path)
        assert (code, out) == (3, "")
        log, sentence = err.splitlines()
        assert f"Permission denied: '{tmp_path / name}'" in log
        assert sentence == (
            f"orbitserve: {tmp_path}: The ledger cannot be written (Permission denied); "
            "the log says more."
        )

    def test_one_that_cannot_be_written_costs_no_report(self, run, few, tmp_path, monkeypatch):
        def refuse(*_):
            raise LedgerError("The disk is full.")

        monkeypatch.setattr("service.ledger.Ledger.append", refuse)
        path = tmp_path / "report.json"
        asked = ["--images", few, "--output", path, "--ledger", tmp_path / "audits"]
        code, out, err = run("audit", NAME, *asked)
        assert code == 3
        assert out.startswith("INCONCLUSIVE")
        assert Report.model_validate_json(path.read_bytes()).verdict == "INCONCLUSIVE"
        assert err.endswith("/audits: The disk is full.\n")


def test_a_reader_that_went_away_costs_neither_the_files_nor_the_entry(
    run, few, tmp_path, monkeypatch
):
    def gone(text, *, err=False, **_):
        if not err:
            raise BrokenPipeError
        print(text, file=sys.stderr)

    monkeypatch.setattr("typer.echo", gone)
    files, ledger = [tmp_path / "a.json", tmp_path / "b.txt"], tmp_path / "audits"
    outputs = [word for file in files for word in ("--output", file)]
    code, _, err = run("audit", NAME, "--images", few, *outputs, "--ledger", ledger)
    assert code == 3
    assert err.endswith("orbitserve: The output was closed before all of it was written.\n")
    assert all(file.stat().st_size for file in files)
    assert len(open_ledger(str(ledger)).page(10).entries) == 1


class TestReplay:
    @pytest.mark.slow
    def test_the_command_in_a_report_makes_the_same_report(self, run, few, tmp_path, monkeypatch):
        place = tmp_path / "a folder; with a name" / "few.npz"
        place.parent.mkdir()
        place.write_bytes(few.read_bytes())
        monkeypatch.setenv("ORBITSERVE_THREADS", "1")
        monkeypatch.setenv("ORBITSERVE_LOG_LEVEL", "error")
        options = ["--images", place, "--group", "C2", "--agreement", 0.9, "--angles", 8]
        options += [
            "--resampler",
            "nearest",
            "--seed",
            3,
            "--exhaustive-angles",
            "--exhaustive-images",
            1,
        ]
        kept = ["--json", "--progress", "none", "--resume", tmp_path / "answers"]
        _, out, _ = run("audit", NAME, *options, *kept, "--fail-on", "never")
        command = json.loads(out)["replay"]
        environment, *words = shlex.split(command)
        assert environment == "env"
        assert words[:4] == [
            "ORBITSERVE_THREADS=1",
            "orbitserve",
            "audit",
            f"{NAME}/1",
        ]
        assert not {"--json", "--resume", "--fail-on", "--progress"} & {*words}
        assert run(*words[2:], "--json")[1] == out

    def test_a_default_is_not_repeated_and_a_key_never(self, run, few, monkeypatch):
        monkeypatch.setenv("ORBITSERVE_API_KEY", "a-secret-of-somebody")
        _, out, _ = run("audit", NAME, "--images", few, "--json")
        assert json.loads(out)["replay"] == f"orbitserve audit {NAME}/1 --images {few}"
        assert "secret" not in out


LONG = ["audit", NAME, "--angles", "16", "--json", "--progress", "plain"]


@pytest.mark.slow
class TestResume:
    def test_an_audit_that_was_killed_goes_on_and_reports_the_same(self, run, tmp_path):
        digits = load_audit_set(Path(MODEL) / "audit.npz")
        save_audit_set(tmp_path / "digits.npz", AuditSet(digits.images[:96]))
        asked = [*LONG, "--images", tmp_path / "digits.npz"]
        _, whole, _ = run(*asked)
        kept = tmp_path / "answers"
        killed = start([*map(str, asked), "--resume", str(kept)])
        for line in killed.stderr:
            if line.startswith("angles: "):
                killed.kill()
                break
        assert killed.communicate()[0] == ""
        assert killed.returncode == -signal.SIGKILL
        killed.end()
        _, resumed, err = run(*asked, "--resume", kept)
        assert resumed == whole
        before, after = (int(word) for word in err.split(": ")[-1].split() if word.isdecimal())
        assert before > 500
        assert after > 0
        _, again, err = run(*asked, "--resume", kept)
        assert again == whole
        assert err.endswith(f"{kept}: {before + after} answers kept, 0 asked\n")


class TestProgress:
    def test_plain_lines_are_on_standard_error(self, run, folder):
        options = ["--images", folder, "--progress", "plain"]
        _, out, err = run("audit", NAME, *options)
        assert out.startswith("INCONCLUSIVE")
        lines = err.splitlines()
        assert lines[0] == "images: 1 of 40"
        assert "images: 40 of 40" in lines
        assert lines[-1].startswith("quarter turns: ")
        assert len(lines) < 25

    def test_without_a_terminal_there_is_nothing(self, run, few):
        assert run("audit", NAME, "--images", few)[2] == ""
