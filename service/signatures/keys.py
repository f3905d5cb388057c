"""Signing messages and verifying signatures by keys and certificates from files.

ECDSA over the digest that goes with the curve, the signature as DER: what Sigstore, in-toto and
openssl do. It is deterministic (RFC 6979), so that equal reports have equal envelopes.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from audit.envelope import EnvelopeError, Signature
from imaging.files import FileRefusedError, read_file
from service.signatures.status import SignatureError, SignatureStatus

_MOST_PEM: Final = 2**20
"""Bytes of a PEM file; long chains of certificates have some thousands."""

_EC_KEY: Final = "on the elliptic curve P-256, P-384 or P-521, as a PEM file without a password"

_HASHES: Final[Mapping[str, tuple[type[hashes.HashAlgorithm], str]]] = {
    "secp256r1": (hashes.SHA256, "ecdsa-sha2-nistp256"),
    "secp384r1": (hashes.SHA384, "ecdsa-sha2-nistp384"),
    "secp521r1": (hashes.SHA512, "ecdsa-sha2-nistp521"),
}


class KeySigner:
    """Signs with a private key; see `audit.envelope.Signer`.

    Attributes
    ----------
    fingerprint
        Of its public key.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificates: str | None) -> None:
        self._key, self._certificates = key, certificates
        self._keyid = _keyid(key.public_key())
        self.fingerprint = fingerprint(key.public_key())

    def sign(self, message: bytes) -> Signature:
        """Sign a message."""
        digest, _ = _HASHES[self._key.curve.name]
        sig = self._key.sign(message, ec.ECDSA(digest(), deterministic_signing=True))
        return Signature(keyid=self._keyid, sig=b64encode(sig).decode(), cert=self._certificates)

    def trust(self) -> "TrustedKey":
        """Trust what this one signs."""
        return TrustedKey(self._key.public_key())


class TrustedKey:
    """Trusts one key."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self._fingerprint = fingerprint(key)

    def verify(self, message: bytes, signature: Signature) -> SignatureStatus:
        """Verify a signature, as `service.signatures.Trust` says."""
        _verify(self._key, message, signature, f"the key {self._fingerprint}")
        return SignatureStatus(
            status="verified", key=self._fingerprint, certificate=None, subject=None
        )


class TrustedRoots:
    """Trusts certificates below some roots, of one signer or of any."""

    def __init__(self, file: Path, roots: Sequence[x509.Certificate], identity: str | None) -> None:
        self._file, self._roots, self._identity = file, roots, identity

    def verify(self, message: bytes, signature: Signature) -> SignatureStatus:
        """Verify a signature, as `service.signatures.Trust` says."""
        if signature.cert is None:
            raise SignatureError("The signature has no certificate; one with its own is accepted.")
        try:
            first, *between = x509.load_pem_x509_certificates(signature.cert.encode())
            key = _ec_key(first.public_key())
            names = _names(first)
            self._check(first, between)
        except Exception as error:  # of as many kinds as certificates can be broken
            raise SignatureError(
                f"The signer's certificate is not one below those in {self._file} "
                f"({reason(error)})."
            ) from error
        if self._identity is not None and self._identity not in names:
            raise SignatureError(
                f"The signer's certificate is of {', '.join(names)}, not of {self._identity}."
            )
        _verify(key, message, signature, f"the certificate of {names[0]}")
        der = first.public_bytes(Encoding.DER)
        return SignatureStatus(
            status="verified",
            key=fingerprint(key),
            certificate=f"sha256:{hashlib.sha256(der).hexdigest()}",
            subject=names[0],
        )

    def _check(self, first: x509.Certificate, between: Sequence[x509.Certificate]) -> None:
        _check_chain(_store(self._roots), first, between)


def open_signer(private_key: Path, certificate: Path | None) -> KeySigner:
    """Read a key, and its certificate with those between it and a root behind it in one file.

    Raises
    ------
    SignatureError
        If they cannot be used.
    """
    try:
        key = load_pem_private_key(read_pem(private_key), None)
        public = _ec_key(key.public_key())
        chain = None
        if certificate is not None:
            certificates = read_chain(certificate)
            if certificates[0].public_key() != public:
                raise ValueError("the first certificate is not of this key")
            check_signer(*certificates)
            chain = to_pem(certificates).decode()
    except Exception as error:
        raise unusable(private_key, certificate, error) from error
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 -- its public half is one
    return KeySigner(key, chain)


def unusable(private_key: Path, certificate: Path | None, error: Exception) -> SignatureError:
    """Say why nothing can be signed with a key and its certificate."""
    which = private_key if certificate is None else f"{private_key} with {certificate}"
    return SignatureError(
        f"{which} cannot be used ({reason(error)}); a private key {_EC_KEY}, and a certificate of "
        "that key that may sign or none, are accepted."
    )


def check_signer(first: x509.Certificate, *between: x509.Certificate) -> None:
    """Refuse a certificate that whoever verifies would, below whatever root; raise an exception.

    Parameters
    ----------
    between
        Those between it and a root, in any order; the root may be among them.
    """
    issuers = {each.subject for each in between}
    tops = [
        each
        for each in (first, *between)
        if each.issuer == each.subject or each.issuer not in issuers
    ]
    store = _store(tops or between)
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    _check_chain(store, first, between)


def trust_key(file: Path) -> TrustedKey:
    """Trust the private half of a public key; raise SignatureError if it is none."""
    return TrustedKey(read_public_key(file)[1])


def trust_roots(file: Path, identity: str | None) -> TrustedRoots:
    """Trust certificates below those in a file; raise SignatureError if there are none."""
    return TrustedRoots(file, read_roots(file), identity)


def read_roots(file: Path) -> list[x509.Certificate]:
    """Read the certificates of a PEM file; raise SignatureError if there are none."""
    try:
        return read_chain(file)
    except Exception as error:
        raise SignatureError(
            f"{file} cannot be used ({reason(error)}); one PEM file of certificates is accepted."
        ) from error


def read_chain(file: Path) -> list[x509.Certificate]:
    """Read the certificates of a PEM file; raise an exception if there are none."""
    return x509.load_pem_x509_certificates(read_pem(file))


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Write certificates one behind the other, without what else stood in their files."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def read_public_key(file: Path) -> tuple[bytes, ec.EllipticCurvePublicKey]:
    """Read a PEM file of one public key, and return both; raise SignatureError if it is none."""
    try:
        pem = read_pem(file)
        return pem, parse_public_key(pem)
    except Exception as error:
        raise SignatureError(
            f"{file} cannot be used ({reason(error)}); a public key {_EC_KEY} is accepted."
        ) from error


def parse_public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read the one public key of a PEM file; of several, the package would take the first."""
    if pem.count(b"-----BEGIN ") > 1:
        raise ValueError("it holds more than one key")
    return _ec_key(load_pem_public_key(pem))


def fingerprint(key: Any) -> str:
    """Return `sha256:` and the digest of a public key as DER."""
    der = _ec_key(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def reason(error: Exception) -> str:
    """Say in a few words what a package found."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")[:200]


def _verify(
    key: ec.EllipticCurvePublicKey, message: bytes, signature: Signature, whom: str
) -> None:
    digest, _ = _HASHES[key.curve.name]
    try:
        key.verify(signature.value, message, ec.ECDSA(digest()))
    except (EnvelopeError, InvalidSignature) as error:
        raise SignatureError(
            f"It is not signed by {whom}, or was changed after it was signed."
        ) from error


def _ec_key(key: Any) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("it is not on an elliptic curve")
    if key.curve.name not in _HASHES:
        raise ValueError(f"it is on the curve {key.curve.name}")
    return key


def _keyid(key: ec.EllipticCurvePublicKey) -> str:
    """Name a key as securesystemslib does, which passes over signatures of other names.

    It is the SHA-256 of the key's description in the canonical JSON of OLPC, where a line break
    stands for itself.
    """
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    _, scheme = _HASHES[key.curve.name]
    described = {"keytype": "ecdsa", "keyval": {"public": pem}, "scheme": scheme}
    text = json.dumps(described, sort_keys=True, separators=(",", ":")).replace("\\n", "\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _names(certificate: x509.Certificate) -> list[str]:
    """The subject, then the other names: of mail, of hosts, URIs."""
    names = [certificate.subject.rfc4514_string()]
    try:
        other = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    kinds = (x509.RFC822Name, x509.DNSName, x509.UniformResourceIdentifier)
    return names + [name for kind in kinds for name in other.get_values_for_type(kind)]


def _store(trusted: Iterable[x509.Certificate]) -> crypto.X509Store:
    store = crypto.X509Store()
    for each in trusted:
        store.add_cert(crypto.X509.from_cryptography(each))
    return store


def _check_chain(
    store: crypto.X509Store, first: x509.Certificate, between: Iterable[x509.Certificate]
) -> None:
    """Check a chain at the beginning of the signer's validity, as `model-signing` does."""
    store.set_time(first.not_valid_before_utc)
    chain = [crypto.X509.from_cryptography(each) for each in between]
    signer = crypto.X509.from_cryptography(first)
    crypto.X509StoreContext(store, signer, chain).verify_certificate()
    if not _may_sign(first):
        raise ValueError(
            "the certificate may not sign: it allows neither digitalSignature nor codeSigning"
        )


def _may_sign(certificate: x509.Certificate) -> bool:
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CODE_SIGNING in usages


def read_pem(file: Path) -> bytes:
    """Read a PEM file, or one that is none, which a package would read however large it is.

    Raises
    ------
    FileRefusedError
        Saying what is wrong with the file, by its name.
    """
    try:
        return read_file(file, _MOST_PEM)
    except FileRefusedError as error:
        raise FileRefusedError(f"{file.name} {error}") from error
