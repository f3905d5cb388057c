"""A signed report is what was signed, to this project's verifier and to somebody else's."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("model_signing", reason="the extra `signing` is not installed")

from cryptography.hazmat.primitives.asymmetric import ec
from in_toto_attestation.v1.statement import Statement
from securesystemslib.exceptions import VerificationError

import audit.envelope
from artifact.json_document import read_json
from audit import Report
from audit.attestation import Attestation, AttestationError
from audit.canonical import report_digest
from audit.envelope import Envelope, EnvelopeError, encoded
from audit.render import FORMATS, SIGNED, formats, render
from service.signatures import SignatureError, open_signer
from service.signatures.keys import TrustedRoots, trust_key, trust_roots
from tests.audit.render.test_in_toto import read as read_statement
from tests.service.signing import Key, make_authority, make_key, refused_elsewhere
from tests.service.test_ledger import report as drawn_report

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


@pytest.fixture(scope="module")
def report() -> Report:
    return drawn_report().model_copy(update={"replay": "orbitserve audit m/1"})


def signed(report: Report, key: Key) -> bytes:
    return render(report, SIGNED, formats(open_signer(key.private)))


def refused_here(envelope: bytes, key: Key) -> bool:
    """Whether it is refused by our verifier: by the signature alone."""
    try:
        read = Envelope.parse(read_json(envelope))
        for signature in read.signatures:
            trust_key(key.public).verify(read.message, signature)
    except (SignatureError, EnvelopeError, ValueError):
        return True
    return not read.signatures


# --- both verifiers ---------------------------------------------------------------------------


@pytest.mark.parametrize("curve", CURVES)
def test_what_is_signed_verifies_here_and_elsewhere(
    report: Report, tmp_path: Path, curve: str
) -> None:
    key = make_key(tmp_path, curve, CURVES[curve])
    envelope = signed(report, key)
    assert not refused_here(envelope, key)
    assert not refused_elsewhere(envelope, key.public_key)


def test_it_holds_the_statement_that_in_toto_reads(report: Report, ours: Key) -> None:
    envelope = json.loads(signed(report, ours))
    payload = base64.b64decode(envelope["payload"], validate=True)
    assert payload == render(report, "in-toto")
    statement, result = read_statement(payload)
    assert isinstance(statement, Statement)
    assert dict(result.configuration[0].digest) == {"sha256": report_digest(report)}
    assert envelope["payloadType"] == "application/vnd.in-toto+json"


def test_equal_reports_have_equal_envelopes_of_one_line(report: Report, ours: Key) -> None:
    assert signed(report, ours) == signed(report, ours)
    assert signed(report, ours).count(b"\n") == 1


def other_payload(envelope: dict[str, Any], key: Key) -> None:
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["result"] = "PASSED"
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()


def other_type(envelope: dict[str, Any], key: Key) -> None:
    envelope["payloadType"] = "application/json"


def raw_signature(envelope: dict[str, Any], key: Key) -> None:
    """Sign the payload itself, which leaves its type open."""
    message = base64.b64decode(envelope["payload"])
    envelope["signatures"][0]["sig"] = open_signer(key.private).sign(message).sig


def other_encoding(envelope: dict[str, Any], key: Key) -> None:
    """Sign an encoding that leaves out how long its parts are."""
    payload = base64.b64decode(envelope["payload"])
    message = b"DSSEv1 " + envelope["payloadType"].encode() + b" " + payload
    envelope["signatures"][0]["sig"] = open_signer(key.private).sign(message).sig


def cut_signature(envelope: dict[str, Any], key: Key) -> None:
    sig = base64.b64decode(envelope["signatures"][0]["sig"])
    envelope["signatures"][0]["sig"] = base64.b64encode(sig[:-1]).decode()


def no_signature(envelope: dict[str, Any], key: Key) -> None:
    envelope["signatures"] = []


BROKEN = [other_payload, other_type, raw_signature, other_encoding, cut_signature, no_signature]


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_what_was_changed_is_refused_here_and_elsewhere(
    report: Report, ours: Key, change: Callable[[dict[str, Any], Key], None]
) -> None:
    envelope = json.loads(signed(report, ours))
    change(envelope, ours)
    broken = json.dumps(envelope).encode()
    assert refused_here(broken, ours)
    assert refused_elsewhere(broken, ours.public_key)


def test_a_signature_by_another_key_is_refused_here_and_elsewhere(
    report: Report, ours: Key, theirs: Key
) -> None:
    envelope = json.loads(signed(report, theirs))
    assert refused_here(json.dumps(envelope).encode(), ours)
    # Also where it calls itself the one that is trusted.
    envelope["signatures"][0]["keyid"] = json.loads(signed(report, ours))["signatures"][0]["keyid"]
    forged = json.dumps(envelope).encode()
    assert refused_here(forged, ours)
    assert refused_elsewhere(forged, ours.public_key)


def test_every_byte_of_a_payload_and_of_a_signature_counts(report: Report, ours: Key) -> None:
    envelope = Envelope.parse(json.loads(signed(report, ours)))
    (signature,), trust = envelope.signatures, trust_key(ours.public)
    trust.verify(envelope.message, signature)
    for at in range(len(envelope.payload)):
        changed = bytearray(envelope.payload)
        changed[at] ^= 1
        with pytest.raises(SignatureError):
            trust.verify(encoded(envelope.payload_type, bytes(changed)), signature)
    for at in range(len(signature.value)):
        value = bytearray(signature.value)
        value[at] ^= 1
        broken = signature.model_copy(update={"sig": base64.b64encode(value).decode()})
        with pytest.raises(SignatureError):
            trust.verify(envelope.message, broken)


def test_a_signer_without_the_encoding_would_be_noticed(
    report: Report, ours: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: both ends of this project leave the encoding out, and agree with each other."""
    monkeypatch.setattr(audit.envelope, "encoded", lambda payload_type, payload: payload)
    envelope = signed(report, ours)
    assert not refused_here(envelope, ours)
    assert refused_elsewhere(envelope, ours.public_key)


def test_what_openssl_is_told_to_verify_it_verifies(
    report: Report, ours: Key, tmp_path: Path
) -> None:
    """By no code that knows envelopes: the encoding written out as DSSE's text has it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    envelope = json.loads(signed(report, ours))
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    (tmp_path / "message").write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode())
    with (tmp_path / "message").open("ab") as file:
        file.write(payload)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "dgst", "-sha256", "-verify", str(ours.public), "-signature", "sig"]
    done = subprocess.run([*command, "message"], cwd=tmp_path, capture_output=True, check=False)
    assert done.stdout == b"Verified OK\n"


def test_by_the_lines_of_the_guide(
    report: Report, ours: Key, theirs: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "trust.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.intoto.jsonl").write_bytes(signed(report, ours))
    shutil.copy(ours.public, "signer.pub.pem")
    exec(compile(lines, "trust.md", "exec"), {})
    shutil.copy(theirs.public, "signer.pub.pem")
    with pytest.raises(VerificationError):
        exec(compile(lines, "trust.md", "exec"), {})


# --- what is signed ---------------------------------------------------------------------------


def attested(report: Report, key: Key) -> Attestation:
    return Attestation.read(Envelope.parse(json.loads(signed(report, key))))


def test_a_report_is_held_against_what_was_signed(report: Report, ours: Key) -> None:
    said = attested(report, ours)
    document = json.loads(render(report, "json"))
    said.check_report(document)
    said.check_model(report.model.sha256)
    with pytest.raises(AttestationError, match="was audited"):
        said.check_model(hashlib.sha256(b"another file").hexdigest())


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for name in value for found in leaves(value[name], (*path, name))]
    if isinstance(value, list) and value:
        return [found for i, each in enumerate(value) for found in leaves(each, (*path, i))]
    return [path]


def test_every_value_of_a_report_counts_its_circumstances_too(report: Report, ours: Key) -> None:
    said = attested(report, ours)
    paths = leaves(json.loads(render(report, "json")))
    assert {("replay",), ("data", "source"), ("verdict",)} <= set(paths)
    for *outer, last in paths:
        document = json.loads(render(report, "json"))
        inner = document
        for step in outer:
            inner = inner[step]
        inner[last] = "changed"
        with pytest.raises(AttestationError):
            said.check_report(document)


def test_images_may_be_called_as_the_report_is(report: Report, ours: Key) -> None:
    data = report.data.model_copy(update={"source": "report.json"})
    named = report.model_copy(update={"data": data})
    said = Attestation.read(Envelope.parse(read_json(signed(named, ours))))
    said.check_report(named.model_dump(mode="json"))


def test_another_kind_of_statement_is_none_about_an_audit(report: Report, ours: Key) -> None:
    signer = open_signer(ours.private)
    statement = json.loads(render(report, "in-toto"))
    for name, value in (("predicateType", "https://slsa.dev/provenance/v1"), ("subject", [])):
        payload = json.dumps(statement | {name: value}).encode()
        with pytest.raises(AttestationError):
            Attestation.read(Envelope.sealed(payload, "application/vnd.in-toto+json", signer))
    with pytest.raises(AttestationError, match="is accepted"):
        Attestation.read(Envelope.sealed(render(report, "in-toto"), "text/plain", signer))


def test_a_type_of_half_a_character_is_refused(report: Report, ours: Key) -> None:
    """JSON can name it, and no encoding of a text can: what is signed cannot be made of it."""
    document = json.loads(signed(report, ours)) | {"payloadType": "\ud800"}
    with pytest.raises(EnvelopeError):
        Envelope.parse(document)


@pytest.mark.parametrize(
    "content",
    [
        *(b"[]", b"1", b"{", b'{"a": 1, "a": 2}', b"\xff", b"[" * 9999),
        *('{"a": 1}'.encode(encoding) for encoding in ("utf-16", "utf-16-be", "utf-32")),
    ],
)
def test_json_that_readers_could_differ_about_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_json(content)


def test_without_a_key_there_is_no_such_form(report: Report) -> None:
    assert SIGNED not in FORMATS
    assert SIGNED not in formats(None)


# --- certificates -----------------------------------------------------------------------------


@pytest.fixture
def certified(keys: Path, ours: Key, tmp_path: Path) -> Any:
    """Sign with a certificate below a root; return the envelope and the root's file."""
    authority = make_authority(tmp_path, "root")

    def sign(report: Report, **options: Any) -> tuple[Envelope, Path]:
        certificate = tmp_path / "signer.crt"
        certificate.write_bytes(authority.sign("signer", ours.public_key, **options))
        signer = open_signer(ours.private, certificate)
        content = render(report, SIGNED, formats(signer))
        assert not refused_elsewhere(content, ours.public_key)
        return Envelope.parse(json.loads(content)), authority.file

    return sign


def test_a_certificate_below_a_trusted_root_counts(report: Report, certified: Any) -> None:
    envelope, roots = certified(report, mail="auditor@example.org")
    for identity in (None, "CN=signer", "auditor@example.org"):
        status = trust_roots(roots, identity).verify(envelope.message, envelope.signatures[0])
        assert (status.status, status.subject) == ("verified", "CN=signer")


def test_other_certificates_do_not(report: Report, certified: Any, tmp_path: Path) -> None:
    envelope, roots = certified(report)
    (signature,) = envelope.signatures

    def refused(trust: TrustedRoots, match: str, **changes: Any) -> None:
        with pytest.raises(SignatureError, match=match):
            trust.verify(envelope.message, signature.model_copy(update=changes))

    other = make_authority(tmp_path, "other")
    refused(trust_roots(other.file, None), "not one below")
    refused(trust_roots(roots, "CN=somebody"), "is of CN=signer, not of CN=somebody")
    refused(trust_roots(roots, None), "no certificate", cert=None)
    refused(trust_roots(roots, None), "not one below", cert="no PEM")
    refused(trust_roots(roots, None), "not one below", cert=other.file.read_text())


def test_a_certificate_of_another_key_signs_nothing(theirs: Key, ours: Key, tmp_path: Path) -> None:
    certificate = tmp_path / "signer.crt"
    certificate.write_bytes(make_authority(tmp_path, "root").sign("signer", ours.public_key))
    with pytest.raises(SignatureError, match="not of this key"):
        open_signer(theirs.private, certificate)
