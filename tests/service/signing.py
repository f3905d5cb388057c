"""Keys and certificates made for tests, and somebody else's verifier of envelopes."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Key:
    private: Path
    public: Path

    @property
    def public_key(self) -> Any:
        return serialization.load_pem_public_key(self.public.read_bytes())


def make_key(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> Key:
    return write_key(folder, name, ec.generate_private_key(curve or ec.SECP256R1()))


def write_key(folder: Path, name: str, key: Any) -> Key:
    pair = Key(folder / f"{name}.pem", folder / f"{name}.pub.pem")
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pair.private.write_bytes(key.private_bytes(PEM, form, plain))
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    pair.public.write_bytes(key.public_key().public_bytes(PEM, public))
    return pair


@dataclass(frozen=True)
class Authority:
    """A root or one below it, and certificates below that."""

    file: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(
        self,
        name: str,
        key: Any,
        *,
        usage: bool = True,
        mail: str | None = None,
        minutes_ago: float = 5,
        minutes: float = 24 * 60,
        unknown: bool = False,
    ) -> bytes:
        builder = _builder(name, self.certificate.subject, key, minutes_ago, minutes)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(digital_signature=usage, key_agreement=True), True)
        if mail is not None:
            names = x509.SubjectAlternativeName([x509.RFC822Name(mail)])
            builder = builder.add_extension(names, False)
        if unknown:
            other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"")
            builder = builder.add_extension(other, True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM)


def make_authority(
    folder: Path, name: str, above: Authority | None = None, same: Authority | None = None
) -> Authority:
    """Make a root, or one below another, with a key of its own or the same as another has."""
    key = same.key if same else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(name, above.certificate.subject if above else subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    builder = builder.add_extension(_usage(key_cert_sign=True), True)
    certificate = builder.sign(above.key if above else key, hashes.SHA256())
    file = folder / f"{name}.crt"
    file.write_bytes(certificate.public_bytes(PEM))
    return Authority(file, certificate, key)


def refused_elsewhere(envelope: bytes, public_key: Any) -> bool:
    """Whether securesystemslib refuses an envelope, under a key that it names by itself."""
    try:
        read = Envelope.from_dict(json.loads(envelope))
        read.verify([SSlibKey.from_crypto(public_key)], 1)
    except (VerificationError, ValueError, KeyError):
        return True
    return False


def _builder(
    name: str, issuer: x509.Name, key: Any, minutes_ago: float = 5, minutes: float = 24 * 60
) -> x509.CertificateBuilder:
    beginning = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes_ago)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(beginning)
        .not_valid_after(beginning + datetime.timedelta(minutes=minutes))
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    kinds = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{kind: allowed.get(kind, False) for kind in kinds})
