"""Signing and verifying by `model-signing`, with keys and certificates from files alone.

Its other way, Sigstore, talks to servers and is not used.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from model_signing import hashing, manifest, signing, verifying

# The one name that is not public: a digest cannot be handed to the package otherwise.
from model_signing._hashing.hashing import Digest

from artifact.json_document import Document, read_json
from artifact.layout import SIGNATURE_FILE
from imaging.files import FileRefusedError, read_file
from imaging.writing import naming, remove_left_aside, write_aside
from service.signatures.keys import (
    check_signer,
    fingerprint,
    parse_public_key,
    read_chain,
    read_pem,
    read_public_key,
    read_roots,
    reason,
    to_pem,
    unusable,
)
from service.signatures.status import SignatureError, SignatureStatus

_LARGEST: Final = 2**20
"""Bytes of a signature; those with long chains of certificates have some thousands."""


class _Digests(hashing.Config):
    """Hands the package digests of files that were read, in place of files to read.

    Signatures may say which files are to be ignored; they have no say here.
    """

    def __init__(self, digests: Mapping[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = False
        self._digests = digests

    def hash(self, model_path: Any, *, files_to_hash: Any = None) -> manifest.Manifest:
        self.asked = True
        form = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
        items = [
            manifest.FileManifestItem(
                path=PurePosixPath(name), digest=Digest("sha256", bytes.fromhex(digest))
            )
            for name, digest in self._digests.items()
        ]
        name = Path(model_path).name
        return manifest.Manifest(name, items, manifest.SerializationType.from_args(form))

    def add_ignored_paths(self, *, model_path: Any, paths: Iterable[Any]) -> None:
        pass


class OpenSSFVerifier:
    """Verifies versions by one key, or by certificates below roots that are trusted.

    Parameters
    ----------
    configure
        Has the package trust what a file holds. It is asked anew for each version: the package
        would check all certificates at the time of the first one that it saw.
    pem
        What that file holds.
    key
        The fingerprint of the key; None if roots are trusted.
    """

    def __init__(
        self, configure: Callable[[Path], verifying.Config], pem: bytes, whom: str, key: str | None
    ) -> None:
        self._configure, self._pem = configure, pem
        self._whom, self._key = whom, key

    def verify(self, folder: Path, digests: Mapping[str, str]) -> SignatureStatus:
        """Verify the signature in a version's folder, as `Verifier` says."""
        return self.verify_content(self._read(folder / SIGNATURE_FILE), digests)

    def verify_content(self, content: bytes | None, digests: Mapping[str, str]) -> SignatureStatus:
        """Verify a signature that was read already, as `Verifier` says."""
        if content is None:
            raise self._unsigned("is not there")
        expected, compared = _Digests(digests), False
        try:
            document = read_json(content)
            if self._key is not None:
                _name_key(document, self._pem)
            with _held(json.dumps(document).encode()) as copy, _held(self._pem) as trusted:
                self._configure(trusted).set_hashing_config(expected).verify(copy, copy)
                compared = True
            return self._status(document)
        except Exception as error:  # whatever it is that the file made the package raise
            if expected.asked and not compared:
                raise SignatureError(
                    f"{SIGNATURE_FILE} is a signature of other files; one of "
                    f"{', '.join(sorted(digests))} as they are here is accepted."
                ) from error
            raise SignatureError(
                f"{SIGNATURE_FILE} is not a valid signature by {self._whom} ({reason(error)}); "
                "one is accepted."
            ) from error

    def _read(self, file: Path) -> bytes:
        try:
            return read_file(file, _LARGEST)
        except FileRefusedError as error:
            raise self._unsigned(str(error)) from error

    def _unsigned(self, reason: str) -> SignatureError:
        return SignatureError(
            f"{SIGNATURE_FILE} {reason}; a version that is signed by {self._whom} is accepted."
        )

    def _status(self, document: Document) -> SignatureStatus:
        if self._key is not None:
            return SignatureStatus(status="verified", key=self._key, certificate=None, subject=None)
        chain = document["verificationMaterial"]["x509CertificateChain"]
        der = b64decode(chain["certificates"][0]["rawBytes"])
        certificate = x509.load_der_x509_certificate(der)
        return SignatureStatus(
            status="verified",
            key=fingerprint(certificate.public_key()),
            certificate=f"sha256:{hashlib.sha256(der).hexdigest()}",
            subject=certificate.subject.rfc4514_string(),
        )


def trust_key(file: Path) -> OpenSSFVerifier:
    """Trust signatures by the private half of a public key; raise SignatureError if it is none."""
    pem, key = read_public_key(file)

    def configure(trusted: Path) -> verifying.Config:
        return verifying.Config().use_elliptic_key_verifier(public_key=trusted)

    named = fingerprint(key)
    return OpenSSFVerifier(configure, pem, f"the key {named}", named)


def trust_roots(file: Path) -> OpenSSFVerifier:
    """Trust signatures with certificates below those in a file; raise SignatureError if none."""

    def configure(trusted: Path) -> verifying.Config:
        return verifying.Config().use_certificate_verifier(certificate_chain=[trusted])

    whom = f"a certificate below those in {file}"
    return OpenSSFVerifier(configure, to_pem(read_roots(file)), whom, None)


@contextmanager
def _held(content: bytes) -> Iterator[Path]:
    """Hand the package, which reads files alone, what was read already."""
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield Path(file.name)


def _name_key(document: Document, pem: bytes) -> None:
    """Name the key in a signature that names none, of which the package would print a warning."""
    material = document.get("verificationMaterial")
    named = material.get("publicKey") if isinstance(material, dict) else None
    if isinstance(named, dict) and not named.get("hint"):
        form = PublicFormat.SubjectPublicKeyInfo
        written = parse_public_key(pem).public_bytes(Encoding.PEM, form)
        named["hint"] = hashlib.sha256(written).hexdigest()


def sign(
    folder: Path,
    digests: Mapping[str, str],
    private_key: Path,
    certificate: Path | None,
    chain: Sequence[Path],
) -> str:
    """Sign files by their digests, as `service.signatures.sign` says; return the fingerprint."""
    config = signing.Config().set_hashing_config(_Digests(digests))
    try:
        key = fingerprint(load_pem_private_key(read_pem(private_key), None).public_key())
        if certificate is None:
            config.use_elliptic_key_signer(private_key=private_key)
        else:
            certificates = [each for file in (certificate, *chain) for each in read_chain(file)]
            with _held(to_pem(certificates)) as held:  # the first of which is the signer's
                config.use_certificate_signer(
                    private_key=private_key, signing_certificate=held, certificate_chain=[held]
                )
            check_signer(*certificates)
    except Exception as error:
        raise unusable(private_key, certificate, error) from error
    with TemporaryDirectory() as place:
        made = Path(place) / SIGNATURE_FILE
        with naming(made):
            config.sign(folder, made)
        remove_left_aside(folder)
        write_aside(folder / SIGNATURE_FILE, made.read_bytes())
    return key
