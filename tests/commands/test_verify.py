"""`orbitserve verify`: 0 for what was signed or stored, 1 for what was not, 3 for an error."""

import base64
import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("model_signing", reason="the extra `signing` is not installed")

from artifact.audit_set import load_audit_set, save_audit_set
from audit import Report
from audit.canonical import document_digest
from audit.render import SIGNED, formats
from service.signatures import open_signer
from tests.service.signing import make_authority, make_key, refused_elsewhere

MODEL = Path("model_repository/rotmnist-c4-int8/1")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Keys and a root, once."""
    folder = tmp_path_factory.mktemp("made")
    ours, theirs = make_key(folder, "ours"), make_key(folder, "theirs")
    root = make_authority(folder, "root")
    certificate = folder / "signer.crt"
    certificate.write_bytes(root.sign("signer", ours.public_key, mail="auditor@example.org"))
    return folder, ours, theirs, root.file, certificate


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Forty digits."""
    few = load_audit_set(MODEL / "audit.npz")
    path = tmp_path_factory.mktemp("few") / "few.npz"
    save_audit_set(path, type(few)(few.images[:40], few.labels[:40]))
    return path


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Where the one audit goes whose report all tests have copies of."""
    return tmp_path_factory.mktemp("audited")


@pytest.fixture
def report(run, made, images, audited, tmp_path):
    """A report that was signed, with its envelope beside it and its entry in a ledger."""
    _, ours, *_ = made
    if not [*audited.iterdir()]:
        options = ["--output", audited / "report.json", "--output", audited / "report.intoto.jsonl"]
        ledger = ["--ledger", audited / "ledger", "--sign", ours.private]
        code, _, err = run("audit", "rotmnist-c4-int8", "--images", images, *options, *ledger)
        assert code == 2, err
        assert "head " in err
    shutil.copytree(audited, tmp_path, dirs_exist_ok=True)
    return tmp_path / "report.json"


@pytest.fixture
def key(made):
    """The option that names the key."""
    return "--key", made[1].public


class TestReport:
    def test_a_report_with_its_envelope_beside_it(self, run, report, key):
        code, out, _ = run("verify", report, *key, "--model", MODEL / "model.onnx")
        digest = document_digest(json.loads(report.read_bytes()))
        assert code == 0
        signed, told, model = out.splitlines()
        assert "signed by the key sha256:" in signed
        assert "WARNED for rotmnist-c4-int8/1/model.onnx" in signed
        assert digest in told
        assert "the file that was audited" in model

    def test_a_model_may_be_larger_than_a_report(self, run, report, key, monkeypatch):
        """One between 1 and 2 GiB can be audited, and was refused here."""
        model = MODEL / "model.onnx"
        monkeypatch.setattr("commands.verify.findings._LARGEST", model.stat().st_size - 1)
        assert run("verify", report, *key, "--model", model)[0] == 0

    def test_it_is_verified_by_another_client_too(self, report, made):
        envelope = report.with_name("report.intoto.jsonl").read_bytes()
        assert not refused_elsewhere(envelope, made[1].public_key)
        assert refused_elsewhere(envelope, made[2].public_key)

    def test_the_envelope_names_the_same(self, run, report, key):
        envelope = report.with_name("report.intoto.jsonl")
        both = run("verify", envelope, *key)
        assert both == run("verify", report, *key) == run("verify", report, envelope, *key)
        shutil.move(report, report.with_name("elsewhere"))
        code, out, _ = run("verify", envelope, *key)
        assert code == 0
        assert "is not here and was not read" in out

    def test_another_key(self, run, report, made):
        code, out, _ = run("verify", report, "--key", made[2].public)
        assert code == 1
        assert len(out.splitlines()) == 1
        assert "It is not signed by the key" in out

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            (("verdict",), "The report has the digest"),
            (("figures", "label_agreement"), "The report has the digest"),
            (("data", "source"), "the source or the files of its images are not"),
            (("replay",), "its replay"),
        ],
    )
    def test_a_report_that_was_changed(self, run, report, key, place, said):
        document = json.loads(report.read_bytes())
        inner = document
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = "PASS"
        report.write_text(json.dumps(document))
        code, out, _ = run("verify", report, *key)
        assert (code, len(out.splitlines())) == (1, 1)
        assert said in out

    def test_a_report_written_otherwise_is_the_same(self, run, report, key):
        report.write_text(json.dumps(json.loads(report.read_bytes()), sort_keys=True))
        assert run("verify", report, *key)[0] == 0

    def test_a_file_that_nobody_read_is_not_called_audited(self, run, report, made, key):
        """As of a service that was asked from outside, and that may name any digest."""
        outside = Report.model_validate_json(report.read_bytes()).model_copy(
            update={"execution": None}
        )
        forms = formats(open_signer(made[1].private))
        report.write_bytes(forms["json"].write(outside))
        report.with_name("report.intoto.jsonl").write_bytes(forms[SIGNED].write(outside))
        code, out, _ = run("verify", report, *key, "--model", MODEL / "model.onnx")
        assert code == 0
        assert "is said to be of (what ran it is not known)" in out.splitlines()[-1]
        report.unlink()
        envelope = report.with_name("report.intoto.jsonl")
        alone = run("verify", envelope, *key, "--model", MODEL / "model.onnx")
        assert alone[1].splitlines()[-1] == out.splitlines()[-1]

    def test_another_model(self, run, report, key):
        other = "model_repository/rotmnist-c4/1/model.onnx"
        code, out, _ = run("verify", report, *key, "--model", other)
        assert code == 1
        assert "was audited" in out

    def test_an_envelope_that_was_changed(self, run, report, key):
        path = report.with_name("report.intoto.jsonl")
        envelope = json.loads(path.read_bytes())
        statement = base64.b64decode(envelope["payload"]).replace(b"WARNED", b"PASSED")
        changed = {"payload": base64.b64encode(statement).decode()}
        path.write_text(json.dumps(envelope | changed))
        code, out, err = run("verify", report, *key)
        assert (code, len(out.splitlines()), err) == (1, 1, "")

    def test_of_a_bundle_one_that_verifies_is_enough(self, run, report, key):
        path = report.with_name("report.intoto.jsonl")
        other = json.loads(path.read_bytes()) | {"payload": "AAAA"}
        path.write_bytes(b"no JSON\n" + json.dumps(other).encode() + b"\n" + path.read_bytes())
        assert run("verify", report, *key)[0] == 0

    def test_the_key_may_be_a_setting(self, run, report, made, monkeypatch):
        monkeypatch.setenv("ORBITSERVE_PUBLIC_KEY", str(made[1].public))
        assert run("verify", report)[0] == 0
        assert run("verify", report, "--key", made[2].public)[0] == 1


@pytest.mark.slow
def test_certificates(run, made, images, tmp_path):
    folder, ours, _, root, certificate = made
    path = tmp_path / "report.intoto.jsonl"
    sign = ["--sign", ours.private, "--certificate", certificate, "--output", path]
    assert run("audit", "rotmnist-c4-int8", "--images", images, *sign)[0] == 2
    for options in ([], ["--certificate-identity", "auditor@example.org"]):
        code, out, _ = run("verify", path, "--certificate-roots", root, *options)
        assert code == 0
        assert "of CN=signer" in out
    name = ["--certificate-identity", "CN=somebody"]
    assert run("verify", path, "--certificate-roots", root, *name)[0] == 1
    other = make_authority(folder, "other").file
    assert run("verify", path, "--certificate-roots", other)[0] == 1
    assert run("verify", path, "--key", ours.public)[0] == 0


class TestLedger:
    def test_what_was_stored(self, run, report, key):
        ledger = report.with_name("ledger")
        code, out, _ = run("verify", "--ledger", ledger, *key)
        assert code == 0
        head = out.split()[-1]
        assert "1 entry (1 of them signed as asked)" in out
        assert run("verify", "--ledger", ledger, "--head", head)[0] == 0

    def test_a_name_in_it_begins_no_line(self, run, report, tmp_path, monkeypatch):
        """Whoever can write to it could have a line say that all is well."""
        monkeypatch.setattr("service.ledger.check._NAMING", 0.0)  # no entry that names it will come
        ledger = Path(shutil.copytree(report.with_name("ledger"), tmp_path / "held"))
        (ledger / "reports" / "x\nledger: 9 entries are what was stored").touch()
        code, out, _ = run("verify", "--ledger", ledger)
        assert (code, out.count("\n")) == (1, 1)
        assert "x\\nledger: 9 entries" in out

    @pytest.mark.slow
    def test_a_key_that_is_named_has_to_have_signed(self, run, made, images, tmp_path, monkeypatch):
        """One of the settings may be there for versions, and an unsigned ledger is one."""
        ledger = ["--ledger", tmp_path / "unsigned"]
        assert run("audit", "rotmnist-c4-int8", "--images", images, *ledger)[0] == 2
        unsigned = (1, "The newest entry is not signed.\n")
        assert run("verify", *ledger, "--key", made[1].public)[:2] == unsigned
        monkeypatch.setenv("ORBITSERVE_PUBLIC_KEY", str(made[1].public))
        code, out, _ = run("verify", *ledger)
        assert (code, "(0 of them signed; a --key asks that the newest is)" in out) == (0, True)

    def test_a_signature_that_nobody_looked_at_is_not_called_one(self, run, report, monkeypatch):
        monkeypatch.delenv("ORBITSERVE_PUBLIC_KEY", raising=False)
        code, out, _ = run("verify", "--ledger", report.with_name("ledger"))
        assert code == 0
        assert "1 entry (1 of them with a signature, which only a --key verifies)" in out

    def test_what_was_not(self, run, report, key):
        ledger = report.with_name("ledger")
        (kept,) = (ledger / "reports").iterdir()
        entry = ledger / "entries" / "0000000001.json"
        entry.write_bytes(entry.read_bytes().replace(b'"stored":"20', b'"stored":"19'))
        kept.unlink()
        code, out, _ = run("verify", "--ledger", ledger, "--head", "0" * 64, *key)
        assert code == 1
        seal, signature, missing, held = out.splitlines()
        assert "is not the one that was sealed" in seal
        assert "signature of entry 1 does not verify" in signature
        assert f"The report of entry 1 is missing: {kept.stem}" in missing
        assert "No entry has the digest" in held

    def test_one_that_is_not_there_leaves_standard_output_empty(self, run, tmp_path):
        code, out, err = run("verify", "--ledger", tmp_path / "none")
        log, sentence = err.splitlines()
        assert (code, out, "the ledger failed" in log) == (3, "", True)
        assert "The ledger cannot be read (No such file or directory)" in sentence

    def test_an_empty_one_shows_nothing(self, run, tmp_path):
        for name in ("entries", "reports"):
            (tmp_path / name).mkdir()
        assert run("verify", "--ledger", tmp_path)[:2] == (1, "The ledger has no entry.\n")


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "one is accepted"),
            (["REPORT", "--ledger", "x"], "one is accepted"),
            (["REPORT"], "Nobody's signature counts"),
            (["REPORT", "--key", "absent.pem"], "cannot be used"),
            (["REPORT", "--key", "OURS", "--certificate-roots", "OURS"], "one is accepted"),
            (["REPORT", "--key", "OURS", "--certificate-identity", "x"], "no roots are trusted"),
            (["REPORT", "--key", "OURS", "--head", "0" * 64], "--head is for a --ledger"),
            (["REPORT", "--key", "OURS", "--model", "absent.onnx"], "cannot be read"),
            (["absent.json", "--key", "OURS"], "cannot be read"),
            ([".", "--key", "OURS"], "is a folder; a regular file is accepted"),
            (["ALONE", "--key", "OURS"], "There is no envelope of"),
            (["REPORT", "ALONE", "--key", "OURS"], "There is no envelope of"),
            (["CARD", "--key", "OURS"], "neither a report nor the envelope"),
            (["NPZ", "--key", "OURS"], "neither a report as JSON nor its envelope"),
            (["--ledger", "absent"], "cannot be read"),
            (["--ledger", "absent", "--head", "x"], "64 digits of 0 to 9"),
        ],
    )
    def test_is_one_sentence(self, run, report, made, images, tmp_path, arguments, said):
        alone = Path(shutil.copy(report, tmp_path / "alone.json"))
        card = MODEL / "card.json"
        places = {"REPORT": report, "ALONE": alone, "CARD": card, "NPZ": images}
        places["OURS"] = made[1].public
        code, _, err = run("verify", *(places.get(each, each) for each in arguments))
        assert code == 3
        assert said in err
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--output", "report.intoto.jsonl"], "--sign names the key"),
            (["--format", "dsse"], "--sign names the key"),
            (["--sign", "OURS"], "one of them is needed"),
            (["--sign", "absent.pem", "--format", "dsse"], "cannot be used"),
            (["--certificate", "absent.crt"], "--certificate is for the key of --sign"),
        ],
    )
    def test_of_an_audit_that_cannot_be_signed(self, run, made, images, arguments, said):
        given = [made[1].private if each == "OURS" else each for each in arguments]
        code, out, err = run("audit", "rotmnist-c4-int8", "--images", images, *given)
        assert (code, out) == (3, "")
        assert said in err
