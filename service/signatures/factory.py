"""Finding the package and the keys that the settings ask for."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from artifact.product import bringing_extra
from service.settings import ConfigurationError, Settings
from service.signatures.status import SignatureError, Trust, Verifier

if TYPE_CHECKING:
    from service.signatures.keys import KeySigner


def open_verifier(settings: Settings) -> Verifier | None:
    """Return who verifies signatures; None if the settings name neither a key nor certificates.

    Raises
    ------
    ConfigurationError
        If they name both, what they name cannot be used, or the extra `signing` is not installed.
    """
    key, roots = _trusted(settings)
    if key is None and roots is None:
        return None
    openssf = _package()
    try:
        verifier: Verifier = openssf.trust_key(key) if key else openssf.trust_roots(roots)
    except SignatureError as error:
        name = "PUBLIC_KEY" if key else "CERTIFICATE_ROOTS"
        raise ConfigurationError(f"ORBITSERVE_{name}: {error}") from error
    return verifier


def sign(
    folder: Path,
    digests: Mapping[str, str],
    private_key: Path,
    certificate: Path | None = None,
    chain: Sequence[Path] = (),
) -> str:
    """Sign a version's files by their digests, and write the signature into its folder.

    Returns the fingerprint of the key. A signature that is there is replaced in one step.

    Raises
    ------
    SignatureError
        If the key or a certificate cannot be used.
    OSError
        If the signature cannot be written.
    ConfigurationError
        If the extra `signing` is not installed.
    """
    fingerprint: str = _package().sign(folder, digests, private_key, certificate, chain)
    return fingerprint


def open_signer(private_key: Path, certificate: Path | None = None) -> "KeySigner":
    """Read the key, and its certificate, that reports and a ledger's entries are signed with.

    Raises
    ------
    SignatureError
        If they cannot be used.
    ConfigurationError
        If the extra `signing` is not installed.
    """
    signer: KeySigner = _package("keys").open_signer(private_key, certificate)
    return signer


def configured_signer(settings: Settings) -> "KeySigner | None":
    """Read the key that the settings name; None if they name none.

    Raises
    ------
    ConfigurationError
        If it cannot be used, or the extra `signing` is not installed.
    """
    if settings.signing_key is None:
        if settings.signing_certificate is not None:
            raise ConfigurationError(
                "ORBITSERVE_SIGNING_CERTIFICATE is set without the key that it is of; "
                "ORBITSERVE_SIGNING_KEY names it."
            )
        return None
    try:
        return open_signer(settings.signing_key, settings.signing_certificate)
    except SignatureError as error:
        raise ConfigurationError(f"ORBITSERVE_SIGNING_KEY: {error}") from error


def open_trust(settings: Settings, identity: str | None = None) -> Trust | None:
    """Return whose signatures of reports count; None if the settings name nobody.

    Parameters
    ----------
    identity
        A name that the signer's certificate has to have: its subject as RFC 4514 writes it, an
        address of mail, a host or a URI.

    Raises
    ------
    ConfigurationError
        If they name both a key and roots, or the extra `signing` is not installed.
    SignatureError
        If what they name cannot be used, or a name is asked of a key.
    """
    key, roots = _trusted(settings)
    if identity is not None and roots is None:
        raise SignatureError(
            "A name is asked of the signer's certificate, and no roots are trusted; "
            "--certificate-roots or ORBITSERVE_CERTIFICATE_ROOTS names them."
        )
    if key is None and roots is None:
        return None
    keys = _package("keys")
    trust: Trust = keys.trust_key(key) if key else keys.trust_roots(roots, identity)
    return trust


def _trusted(settings: Settings) -> tuple[Path | None, Path | None]:
    key, roots = settings.public_key, settings.certificate_roots
    if key is not None and roots is not None:
        raise ConfigurationError(
            "Both ORBITSERVE_PUBLIC_KEY and ORBITSERVE_CERTIFICATE_ROOTS are set; one is accepted."
        )
    return key, roots


def _package(module: str = "openssf") -> ModuleType:
    try:
        return import_module(f"service.signatures.{module}")
    except ImportError as error:
        raise ConfigurationError(
            "Signatures need the extra 'signing', which is not installed "
            f"({error}); {bringing_extra('signing')}."
        ) from error
