"""The key that a report is signed with."""

from pathlib import Path

from audit.envelope import Signer
from imaging import RefusedError
from service.signatures import open_signer


def read_signer(private_key: Path | None, certificate: Path | None) -> Signer | None:
    """Read a key and its certificate; None without a key.

    Raises
    ------
    ValueError
        If they cannot be used, or there is a certificate without a key.
    """
    if private_key is not None:
        return open_signer(private_key, certificate)
    if certificate is not None:
        raise RefusedError("--certificate is for the key of --sign, and there is none.")
    return None
