"""Finding the package and the keys that the settings ask for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from service.settings import ConfigurationError, Settings
from service.signatures.status import SignatureError, Verifier


def open_verifier(settings: Settings) -> Verifier | None:
    """Return who verifies signatures; None if the settings name neither a key nor certificates.

    Raises
    ------
    ConfigurationError
        If they name both, what they name cannot be used, or the extra `signing` is not installed.
    """
    key, roots = settings.public_key, settings.certificate_roots
    if key is not None and roots is not None:
        raise ConfigurationError(
            "Both ORBITSERVE_PUBLIC_KEY and ORBITSERVE_CERTIFICATE_ROOTS are set; one is accepted."
        )
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
    ConfigurationError
        If the extra `signing` is not installed.
    """
    fingerprint: str = _package().sign(folder, digests, private_key, certificate, chain)
    return fingerprint


def _package() -> ModuleType:
    try:
        from service.signatures import openssf
    except ImportError as error:
        raise ConfigurationError(
            "Signatures need the extra 'signing', which is not installed "
            f"({error}); pip install 'orbitserve[signing]' installs it."
        ) from error
    return openssf
