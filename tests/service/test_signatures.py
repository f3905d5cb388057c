"""Where a key is set, only versions that it signed are served; each way around that is refused."""

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

pytest.importorskip("model_signing", reason="the extra `signing` is not installed")

import model_signing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from artifact.card import Card, load_card, parse_card
from artifact.layout import SIGNATURE_FILE
from audit.envelope import encoded
from service.repository import folder as folders
from service.repository.local import open_model, sign_version
from service.settings import ConfigurationError, Settings
from service.signatures import NOT_ASKED, SignatureError, openssf, sign
from service.signatures.keys import open_signer, trust_key, trust_roots
from tests.digests import sha256_file
from tests.disks import largest_file
from tests.service.signing import Key, make_authority, make_key, write_key

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PEM = serialization.Encoding.PEM


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def refuse(*_: object) -> None:
        raise AssertionError("a signature needs no network")

    def within_this_machine(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            refuse()
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", within_this_machine)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(repository, tmp_path / "repository"))


def configured(root: Path, **options: Any) -> Settings:
    return Settings(repository=root, device="cpu", **options)


@pytest.fixture(scope="module")
def signed_once(repository: Path, ours: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(shutil.copytree(repository, tmp_path_factory.mktemp("signed") / "repository"))
    for name in ("turning/2", "turning/10", "plain/1"):
        sign_version(name, configured(root), ours.private)
    return root


@pytest.fixture
def signed(signed_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed_once, tmp_path / "signed"))


# --- served -----------------------------------------------------------------------------------


async def test_signed_versions_are_served_beside_one_that_was_tampered_with_and_say_by_whom(
    signed: Path, ours: Key, open_client: Any
) -> None:
    der = serialization.load_pem_public_key(ours.public.read_bytes()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    flip_card(signed / "turning" / "10")
    async with open_client(signed, public_key=ours.public) as client:
        described = (await client.get("/models/turning")).json()
        assert (described["versions"], described["version"]) == ([2], 2)
        assert described["signature"] == {
            "status": "verified",
            "key": f"sha256:{digest.finalize().hex()}",
            "certificate": None,
            "subject": None,
        }
        refused = await client.get("/models/turning/versions/10")
        assert refused.status_code == 503
        sentence = refused.json()["error"]
        assert MUTANTS[flip_card] in sentence
        assert sentence.count("\n") == 0


async def test_nobody_asks_where_no_key_is_set(client: httpx.AsyncClient) -> None:
    described = (await client.get("/models/turning")).json()
    assert described["signature"] == NOT_ASKED.model_dump()


def test_the_command_signs_what_the_package_itself_verifies(
    copy: Path, ours: Key, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import orbitserve

    arguments = ["sign", "turning/10", "--repository", copy, "--private-key", ours.private]
    monkeypatch.setattr(sys, "argv", ["orbitserve", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        orbitserve.main()
    assert not end.value.code
    folder = copy / "turning" / "10"
    assert capsys.readouterr().out.startswith(
        f"{folder / SIGNATURE_FILE}: signed by the key sha256:"
    )
    assert sorted(file.name for file in folder.iterdir()) == [
        "audit.npz",
        "card.json",
        "model.onnx",
        SIGNATURE_FILE,
    ]
    verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=ours.public)
    verifier.set_ignore_unsigned_files(True).verify(folder, folder / SIGNATURE_FILE)
    (folder / "card.json").write_text("{}")
    with pytest.raises(ValueError, match="mismatch"):
        verifier.verify(folder, folder / SIGNATURE_FILE)


def test_what_a_killed_signing_left_is_removed(copy: Path, ours: Key) -> None:
    folder = copy / "turning" / "10"
    left = folder / ".left.partial"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    sign_version("turning/10", configured(copy), ours.private)
    assert not left.exists()
    assert (folder / SIGNATURE_FILE).exists()


def test_a_disk_that_is_full_is_named_and_keeps_the_older_signature(
    signed: Path, ours: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in signed.rglob("*") if path.is_file()}
    signature = signed / "turning" / "10" / SIGNATURE_FILE
    with largest_file(100), pytest.raises(OSError, match="File too large") as refused:
        sign_version("turning/10", configured(signed), ours.private)
    assert str(tempfile.gettempdir()) in str(refused.value)  # where the package writes it

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("imaging.writing.os.fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{signature}'"):
        sign_version("turning/10", configured(signed), ours.private)
    assert {path: path.read_bytes() for path in signed.rglob("*") if path.is_file()} == before


def test_what_the_package_itself_signs_is_accepted(copy: Path, ours: Key) -> None:
    signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=ours.private)
    signer.sign(copy / "plain" / "1", copy / "plain" / "1" / SIGNATURE_FILE)
    model = open_model("plain", configured(copy, public_key=ours.public))
    model.session.close()
    assert model.signature.status == "verified"


def test_keys_and_certificates_made_by_openssl_are_accepted(copy: Path, tmp_path: Path) -> None:
    """By the commands of docs/trust.md."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    page = (Path(__file__).parents[2] / "docs" / "trust.md").read_text()
    makers = ("$ openssl", "$ printf")
    commands = [line[2:] for line in page.splitlines() if line.startswith(makers)]
    assert len(commands) == 7
    for command in commands:
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, capture_output=True)
    sign_version("plain", configured(copy), tmp_path / "signer.pem")
    model = open_model("plain", configured(copy, public_key=tmp_path / "signer.pub.pem"))
    model.session.close()
    key = model.signature.key
    assert key == f"sha256:{sha256_file(tmp_path / 'signer.der')}"
    sign_version("plain", configured(copy), tmp_path / "signer.pem", tmp_path / "signer.crt")
    model = open_model("plain", configured(copy, certificate_roots=tmp_path / "root.crt"))
    model.session.close()
    assert (model.signature.key, model.signature.subject) == (key, "CN=signer")


# --- refused ----------------------------------------------------------------------------------


def flip(file: Path, place: float = 0.5) -> None:
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1
    file.write_bytes(data)


def rewrite_card(folder: Path, **changes: Any) -> None:
    """Change a card, and let it name the files as they are: what an attacker would do."""
    card = load_card(folder / "card.json")
    audit_set = card.audit_set.model_copy(update={"sha256": sha256_file(folder / "audit.npz")})
    digests = {"sha256": sha256_file(folder / "model.onnx"), "audit_set": audit_set}
    card = card.model_copy(update={**digests, **changes})
    (folder / "card.json").write_text(card.model_dump_json(indent=2))


def flip_model(folder: Path) -> None:
    flip(folder / "model.onnx")


def flip_model_and_rewrite_card(folder: Path) -> None:
    flip(folder / "model.onnx")
    rewrite_card(folder)


def flip_card(folder: Path) -> None:
    text = (folder / "card.json").read_text()
    (folder / "card.json").write_text(text.replace("one convolution", "one convolutioN"))


def exchange_classes(folder: Path) -> None:
    rewrite_card(folder, classes=("dog", "cat", "bee", "ant"))


def exchange_audit_set(folder: Path) -> None:
    images = load_audit_set(folder / "audit.npz").images[::-1].copy()
    save_audit_set(folder / "audit.npz", AuditSet(images))


def exchange_audit_set_and_rewrite_card(folder: Path) -> None:
    exchange_audit_set(folder)
    rewrite_card(folder)


def copy_signature_of_another_version(folder: Path) -> None:
    shutil.copy(folder.parent / "2" / SIGNATURE_FILE, folder / SIGNATURE_FILE)


def copy_another_version(folder: Path) -> None:
    for file in (folder.parent / "2").iterdir():
        shutil.copy(file, folder / file.name)


def change_signature(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    bundle = json.loads((folder / SIGNATURE_FILE).read_text())
    change(bundle)
    (folder / SIGNATURE_FILE).write_text(json.dumps(bundle))


def flip_signature(folder: Path) -> None:
    def change(bundle: dict[str, Any]) -> None:
        signature = bundle["dsseEnvelope"]["signatures"][0]
        text = signature["sig"]
        signature["sig"] = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]

    change_signature(folder, change)


def keep_payload_of_another_version(folder: Path) -> None:
    other = json.loads((folder.parent / "2" / SIGNATURE_FILE).read_text())
    change_signature(
        folder,
        lambda bundle: bundle["dsseEnvelope"].update(payload=other["dsseEnvelope"]["payload"]),
    )


MUTANTS = {
    flip_model: "model.onnx has the SHA-256",
    flip_model_and_rewrite_card: "a signature of other files",
    flip_card: "a signature of other files",
    exchange_classes: "a signature of other files",
    exchange_audit_set: "audit.npz has the SHA-256",
    exchange_audit_set_and_rewrite_card: "a signature of other files",
    copy_signature_of_another_version: "a signature of other files",
    copy_another_version: "card.json is that of version 2",
    flip_signature: "not a valid signature by the key sha256:",
    keep_payload_of_another_version: "not a valid signature by the key sha256:",
    lambda folder: (folder / SIGNATURE_FILE).unlink(): "model.sig cannot be read",
    lambda folder: (folder / SIGNATURE_FILE).write_bytes(b""): "not a valid signature",
    lambda folder: (folder / SIGNATURE_FILE).write_text("{}"): "not a valid signature",
    lambda folder: (folder / SIGNATURE_FILE).write_bytes(b"\xff" * 99): "not a valid signature",
    lambda folder: (folder / SIGNATURE_FILE).write_bytes(bytes(2**20 + 1)): "too large",
    lambda folder: change_signature(
        folder, lambda bundle: bundle["dsseEnvelope"]["signatures"].clear()
    ): "not a valid signature",
    lambda folder: change_signature(
        folder, lambda bundle: bundle["verificationMaterial"].clear()
    ): "not a valid signature",
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_version_that_was_tampered_with_is_refused(
    signed: Path, ours: Key, mutant: Callable[[Path], object]
) -> None:
    mutant(signed / "turning" / "10")
    settings = configured(signed, public_key=ours.public)
    with pytest.raises(ConfigurationError, match=re.escape(MUTANTS[mutant])) as refused:
        open_model("turning/10", settings)
    assert "\n" not in str(refused.value)
    open_model("turning/2", settings).session.close()


@pytest.mark.parametrize(
    "mutant", [flip_card, exchange_classes, flip_model_and_rewrite_card, flip_signature]
)
def test_without_a_key_the_mutants_would_have_been_served(
    signed: Path, mutant: Callable[[Path], object]
) -> None:
    """It is the signature, and nothing else, that refuses them."""
    mutant(signed / "turning" / "10")
    open_model("turning/10", configured(signed)).session.close()


def test_a_signature_by_another_key_is_refused(signed: Path, ours: Key, theirs: Key) -> None:
    sign_version("turning/10", configured(signed), theirs.private)
    sentence = "not a valid signature by the key sha256:.*Key mismatch"
    with pytest.raises(ConfigurationError, match=sentence):
        open_model("turning/10", configured(signed, public_key=ours.public))


def test_a_foreign_signature_that_names_our_key_is_refused(
    signed: Path, ours: Key, theirs: Key
) -> None:
    """The name of a key in a signature is nobody's word."""
    folder = signed / "turning" / "10"
    hint = json.loads((folder / SIGNATURE_FILE).read_text())["verificationMaterial"]
    sign_version("turning/10", configured(signed), theirs.private)
    change_signature(folder, lambda bundle: bundle.update(verificationMaterial=hint))
    with pytest.raises(ConfigurationError, match="not a valid signature"):
        open_model("turning/10", configured(signed, public_key=ours.public))


@pytest.mark.parametrize("kept", [["card.json"], []])
def test_a_signature_of_fewer_files_is_no_signature_of_the_version(
    copy: Path, ours: Key, kept: list[str]
) -> None:
    """The package would verify it, as what a signature ignores is read from the signature."""
    folder = copy / "plain" / "1"
    ignored = [folder / name for name in ("model.onnx", "audit.npz", "card.json", SIGNATURE_FILE)]
    ignored = [file for file in ignored if file.name not in kept]
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=ignored)
    signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=ours.private)
    signer.set_hashing_config(hashing).sign(folder, folder / SIGNATURE_FILE)
    verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=ours.public)
    verifier.verify(folder, folder / SIGNATURE_FILE)
    with pytest.raises(ConfigurationError, match="a signature of other files"):
        open_model("plain", configured(copy, public_key=ours.public))


def test_a_file_that_the_service_does_not_read_needs_no_signature(signed: Path, ours: Key) -> None:
    (signed / "plain" / "1" / "README.md").write_text("added later")
    model = open_model("plain", configured(signed, public_key=ours.public))
    model.session.close()
    assert model.signature.status == "verified"


def test_a_card_that_is_exchanged_after_it_was_read_changes_nothing(
    signed: Path, ours: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is verified are the bytes that were parsed, not what lies there afterwards."""
    folder = signed / "plain" / "1"
    good = (folder / "card.json").read_bytes()
    exchange_classes(folder)

    def parse_slowly(data: bytes, path: Path) -> Card:
        path.write_bytes(good)
        return parse_card(data, path)

    monkeypatch.setattr(folders, "parse_card", parse_slowly)
    with pytest.raises(ConfigurationError, match="a signature of other files"):
        open_model("plain", configured(signed, public_key=ours.public))


def test_broken_files_are_not_signed(copy: Path, ours: Key) -> None:
    flip(copy / "plain" / "1" / "model.onnx")
    with pytest.raises(ConfigurationError, match=r"model.onnx has the SHA-256"):
        sign_version("plain", configured(copy), ours.private)
    assert not (copy / "plain" / "1" / SIGNATURE_FILE).exists()


# --- certificates -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root, one between, a signer below that, and another root's signer."""
    folder = tmp_path_factory.mktemp("certificates")
    root, other = make_authority(folder, "root"), make_authority(folder, "other root")
    between = make_authority(folder, "between", root)
    for name, issuer in (("signer", between), ("foreign", other)):
        key = make_key(folder, name).public_key
        (folder / f"{name}.crt").write_bytes(issuer.sign(name, key))
    return folder


def sign_as(name: str, folder: Path, root: Path, chain: list[str]) -> None:
    sign_version(
        "plain",
        configured(root),
        folder / f"{name}.pem",
        folder / f"{name}.crt",
        [folder / f"{each}.crt" for each in chain],
    )


def test_a_certificate_below_a_trusted_root_is_accepted(copy: Path, certificates: Path) -> None:
    sign_as("signer", certificates, copy, ["between"])
    roots = certificates / "root.crt"
    model = open_model("plain", configured(copy, certificate_roots=roots))
    model.session.close()
    leaf = x509.load_pem_x509_certificate((certificates / "signer.crt").read_bytes())
    assert model.signature.status == "verified"
    assert model.signature.subject == "CN=signer"
    assert model.signature.certificate == f"sha256:{leaf.fingerprint(hashes.SHA256()).hex()}"
    exchange_classes(copy / "plain" / "1")
    with pytest.raises(ConfigurationError, match="a signature of other files"):
        open_model("plain", configured(copy, certificate_roots=roots))


@pytest.mark.parametrize(("name", "chain"), [("foreign", ["other root"]), ("signer", [])])
def test_other_certificates_are_refused(
    copy: Path, certificates: Path, name: str, chain: list[str]
) -> None:
    sign_as(name, certificates, copy, chain)
    with pytest.raises(ConfigurationError, match="not a valid signature by a certificate below"):
        open_model("plain", configured(copy, certificate_roots=certificates / "root.crt"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"usage": False}, "allows neither digitalSignature nor codeSigning"),
        ({"unknown": True}, "unhandled critical extension"),
        ({"minutes_ago": 10}, "certificate is not yet valid"),  # the one above it, at that time
        ({"issuer": "forged"}, "certificate signature failure"),
        ({"issuer": None}, "allows neither digitalSignature nor codeSigning"),  # of an authority
    ],
)
def test_a_certificate_that_no_verification_accepts_signs_nothing(
    options: dict[str, Any], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was signed with, and then no service served the version, and nobody took the report."""
    root = make_authority(tmp_path, "root")
    between = make_authority(tmp_path, "between", root)
    (tmp_path / "forged").mkdir()
    forged = make_authority(tmp_path / "forged", "between", root)
    signer, certificate = make_key(tmp_path, "signer"), tmp_path / "signer.crt"
    issuer = {"forged": forged, "between": between}.get(options.pop("issuer", "between"))
    if issuer is None:
        signer = write_key(tmp_path, "between", between.key)
        certificate.write_bytes(between.file.read_bytes())
    else:
        certificate.write_bytes(issuer.sign("signer", signer.public_key, **options))
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(certificate.read_bytes() + between.file.read_bytes())
    for chain in ([between.file], [root.file, between.file]):
        with pytest.raises(SignatureError, match=f"cannot be used \\(.*{reason}"):
            sign(tmp_path, SIGNED_FILES, signer.private, certificate, chain)
    assert not (tmp_path / SIGNATURE_FILE).exists()
    with pytest.raises(SignatureError, match=f"cannot be used \\(.*{reason}"):
        open_signer(signer.private, bundle)
    monkeypatch.setattr("service.signatures.keys.check_signer", lambda *_: None)
    monkeypatch.setattr(openssf, "check_signer", lambda *_: None)
    sign(tmp_path, SIGNED_FILES, signer.private, certificate, [between.file])
    with pytest.raises(SignatureError, match="not a valid signature by a certificate"):
        openssf.trust_roots(root.file).verify(tmp_path, SIGNED_FILES)
    signature = open_signer(signer.private, bundle).sign(b"of anything")
    with pytest.raises(SignatureError, match="is not one below"):
        trust_roots(root.file, None).verify(b"of anything", signature)


@pytest.mark.parametrize("chain", [["between"], ["root", "between"], ["between", "between"], []])
def test_a_certificate_is_signed_with_whatever_is_said_of_those_above_it(
    certificates: Path, tmp_path: Path, chain: list[str]
) -> None:
    """In any order, twice, or behind it in one file, of which all but itself was dropped."""
    bundle, key = tmp_path / "bundle.crt", certificates / "signer.pem"
    both = [(certificates / f"{name}.crt").read_bytes() for name in ("signer", "between")]
    bundle.write_bytes(b"".join(both))
    files = [certificates / f"{name}.crt" for name in chain]
    sign(tmp_path, SIGNED_FILES, key, certificates / "signer.crt" if files else bundle, files)
    root = certificates / "root.crt"
    assert openssf.trust_roots(root).verify(tmp_path, SIGNED_FILES).subject == "CN=signer"
    sign(tmp_path, SIGNED_FILES, key, bundle, [root])
    assert openssf.trust_roots(root).verify(tmp_path, SIGNED_FILES).subject == "CN=signer"


@pytest.mark.parametrize("order", [1, -1])
def test_a_root_may_be_known_by_another_root_too(tmp_path: Path, order: int) -> None:
    """As where one takes the place of an older one, which vouches for its key."""
    older, newer = make_authority(tmp_path, "older"), make_authority(tmp_path, "newer")
    (tmp_path / "crossed").mkdir()
    crossed = make_authority(tmp_path / "crossed", "newer", older, same=newer)
    between = make_authority(tmp_path, "between", newer)
    signer, certificate = make_key(tmp_path, "signer"), tmp_path / "signer.crt"
    certificate.write_bytes(between.sign("signer", signer.public_key))
    chain = [each.file for each in (between, newer, crossed, older)][::order]
    sign(tmp_path, SIGNED_FILES, signer.private, certificate, chain)
    verifier = openssf.trust_roots(newer.file)
    assert verifier.verify(tmp_path, SIGNED_FILES).subject == "CN=signer"


def test_a_key_beside_a_certificate_is_copied_nowhere(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, held, hold = tmp_path / "both.pem", list[bytes](), openssf._held
    names = ("signer.pem", "signer.crt", "between.crt")
    both.write_bytes(b"".join((certificates / name).read_bytes() for name in names))
    monkeypatch.setattr(openssf, "_held", lambda content: held.append(content) or hold(content))
    sign(tmp_path, SIGNED_FILES, both, both)
    assert held
    assert not any(b"PRIVATE" in content for content in held)


def test_an_expired_certificate_signs_as_it_is_judged_at_its_beginning(tmp_path: Path) -> None:
    root = make_authority(tmp_path, "root")
    key, certificate = make_key(tmp_path, "signer"), tmp_path / "signer.crt"
    certificate.write_bytes(root.sign("signer", key.public_key, minutes=2))
    sign(tmp_path, SIGNED_FILES, key.private, certificate)
    assert openssf.trust_roots(root.file).verify(tmp_path, SIGNED_FILES).subject == "CN=signer"


def test_a_key_and_a_certificate_do_not_stand_for_each_other(
    signed: Path, ours: Key, certificates: Path
) -> None:
    with pytest.raises(ConfigurationError, match="not a valid signature by a certificate"):
        open_model("plain", configured(signed, certificate_roots=certificates / "root.crt"))
    sign_as("signer", certificates, signed, ["between"])
    with pytest.raises(ConfigurationError, match="not a valid signature by the key"):
        open_model("plain", configured(signed, public_key=ours.public))


# --- keys and settings that cannot be used ----------------------------------------------------


def test_keys_that_cannot_sign_are_refused(copy: Path, keys: Path, certificates: Path) -> None:
    folder = copy / "plain" / "1"
    wrong = write_key(keys, "rsa", rsa.generate_private_key(65537, 2048))
    curve = make_key(keys, "curve", ec.SECP256K1())
    locked = keys / "locked.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    secret = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, secret))
    for file in (wrong.private, curve.private, locked, keys / "none.pem", wrong.public):
        with pytest.raises(SignatureError, match=r"cannot be used \(.*are accepted\."):
            sign(folder, {}, file)
    with pytest.raises(SignatureError, match="does not match"):
        sign(folder, {}, certificates / "signer.pem", certificates / "foreign.crt")
    assert not (folder / SIGNATURE_FILE).exists()


def test_of_several_keys_none_is_chosen(copy: Path, keys: Path, ours: Key) -> None:
    """The first alone counted, so that nothing that the second had signed was accepted."""
    both, other = keys / "both.pub.pem", make_key(keys, "second")
    both.write_bytes(ours.public.read_bytes() + other.public.read_bytes())
    with pytest.raises(SignatureError, match="more than one key"):
        trust_key(both)
    with pytest.raises(ConfigurationError, match="more than one key"):
        open_model("plain", configured(copy, public_key=both))


async def test_a_setting_that_cannot_be_used_ends_the_start(
    copy: Path, keys: Path, ours: Key, certificates: Path, open_client: Any
) -> None:
    empty = keys / "empty.pem"
    empty.touch()
    for options, sentence in (
        ({"public_key": keys / "none.pem"}, "ORBITSERVE_PUBLIC_KEY: .* cannot be used"),
        ({"public_key": empty}, "ORBITSERVE_PUBLIC_KEY: .* cannot be used"),
        ({"public_key": ours.private}, "ORBITSERVE_PUBLIC_KEY: .* cannot be used"),
        ({"public_key": Path()}, "ORBITSERVE_PUBLIC_KEY: .* cannot be used"),
        ({"certificate_roots": empty}, "ORBITSERVE_CERTIFICATE_ROOTS: .* cannot be used"),
        ({"certificate_roots": ours.public}, "ORBITSERVE_CERTIFICATE_ROOTS: .* cannot be used"),
        (
            {"public_key": ours.public, "certificate_roots": certificates / "root.crt"},
            "Both ORBITSERVE_PUBLIC_KEY and ORBITSERVE_CERTIFICATE_ROOTS",
        ),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            async with open_client(copy, **options):
                pass


def test_without_the_extra_it_is_named(
    copy: Path, ours: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "service.signatures.openssf", raising=False)
    monkeypatch.delattr("service.signatures.openssf", raising=False)
    with pytest.raises(ConfigurationError, match=r"extra 'signing'.* pip install 'model-signing"):
        open_model("plain", configured(copy, public_key=ours.public))
    with pytest.raises(ConfigurationError, match="extra 'signing'"):
        sign_version("plain", configured(copy), ours.private)
    open_model("plain", configured(copy)).session.close()


def test_the_package_is_imported_only_where_it_is_used() -> None:
    code = (
        "import sys, service.app, service.repository.local; "
        "assert 'model_signing' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_while_two_roots_are_trusted_signers_of_both_are_accepted(
    copy: Path, certificates: Path, tmp_path: Path
) -> None:
    """As while one takes the place of the other, whichever stands first in the file."""
    both = [(certificates / f"{name}.crt").read_bytes() for name in ("root", "other root")]
    for order in (both, both[::-1]):
        roots = tmp_path / "roots.crt"
        roots.write_bytes(b"".join(order))
        for name, chain in (("signer", ["between"]), ("foreign", ["other root"])):
            sign_as(name, certificates, copy, chain)
            model = open_model("plain", configured(copy, certificate_roots=roots))
            model.session.close()
            assert model.signature.subject == f"CN={name}"


# --- the file itself --------------------------------------------------------------------------

SIGNED_FILES = {"model.onnx": "a" * 64}


def signature_of(name: str, certificates: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    key, certificate = certificates / f"{name}.pem", certificates / f"{name}.crt"
    sign(folder, SIGNED_FILES, key, certificate, [certificates / "between.crt"])
    document: dict[str, Any] = json.loads((folder / SIGNATURE_FILE).read_text())
    return document


def test_each_certificate_is_verified_at_its_own_time(tmp_path: Path) -> None:
    """A verifier that lives long is shown certificates that were not valid at its first one."""
    root = make_authority(tmp_path, "between")
    verifier = openssf.trust_roots(root.file)
    for name, minutes in (("first", 4), ("second", 2), ("again", 3)):
        key = make_key(tmp_path, name).public_key
        (tmp_path / f"{name}.crt").write_bytes(root.sign(name, key, minutes_ago=minutes))
        signature_of(name, tmp_path, tmp_path / f"by {name}")
    for name in ("first", "second", "again"):
        status = verifier.verify(tmp_path / f"by {name}", SIGNED_FILES)
        assert status.subject == f"CN={name}"


def test_certificates_that_only_the_package_finds_are_refused(
    certificates: Path, tmp_path: Path
) -> None:
    """It reads fields by other names too; none was found, and this was an error."""
    document = signature_of("signer", certificates, tmp_path / "1")
    first = document["verificationMaterial"]["x509CertificateChain"]["certificates"][0]
    first["raw_bytes"] = first.pop("rawBytes")
    (tmp_path / "1" / SIGNATURE_FILE).write_text(json.dumps(document))
    with pytest.raises(SignatureError, match="not a valid signature"):
        openssf.trust_roots(certificates / "root.crt").verify(tmp_path / "1", SIGNED_FILES)


def test_keys_on_other_curves_are_refused_in_certificates(tmp_path: Path) -> None:
    root = make_authority(tmp_path, "root")
    key = ec.generate_private_key(ec.SECP256K1())
    certificate = x509.load_pem_x509_certificate(root.sign("signer", key.public_key()))
    der = certificate.public_bytes(serialization.Encoding.DER)
    good = make_key(tmp_path, "good")
    (tmp_path / "good.crt").write_bytes(root.sign("good", good.public_key))
    (tmp_path / "between.crt").write_bytes(root.file.read_bytes())
    document = signature_of("good", tmp_path, tmp_path / "1")
    payload = b64decode(document["dsseEnvelope"]["payload"])
    message = encoded("application/vnd.in-toto+json", payload)
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    document["dsseEnvelope"]["signatures"][0]["sig"] = b64encode(signature).decode()
    chain = document["verificationMaterial"]["x509CertificateChain"]
    chain["certificates"] = [{"rawBytes": b64encode(der).decode()}]
    (tmp_path / "1" / SIGNATURE_FILE).write_text(json.dumps(document))
    with pytest.raises(SignatureError, match="on the curve secp256k1"):
        openssf.trust_roots(root.file).verify(tmp_path / "1", SIGNED_FILES)


def test_a_signature_that_has_a_name_twice_is_refused(certificates: Path, tmp_path: Path) -> None:
    document = signature_of("signer", certificates, tmp_path / "1")
    text = json.dumps(document)
    again = json.dumps(document["verificationMaterial"])
    (tmp_path / "1" / SIGNATURE_FILE).write_text(f'{{"verificationMaterial": {again}, {text[1:]}')
    with pytest.raises(SignatureError, match="twice"):
        openssf.trust_roots(certificates / "root.crt").verify(tmp_path / "1", SIGNED_FILES)


def test_nothing_is_printed_of_a_signature_that_names_no_key(
    tmp_path: Path, ours: Key, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a command prints may be read by another program."""
    sign(tmp_path, SIGNED_FILES, ours.private)
    document = json.loads((tmp_path / SIGNATURE_FILE).read_text())
    document["verificationMaterial"]["publicKey"] = {}
    (tmp_path / SIGNATURE_FILE).write_text(json.dumps(document))
    assert openssf.trust_key(ours.public).verify(tmp_path, SIGNED_FILES).status == "verified"
    assert capsys.readouterr().out == ""
