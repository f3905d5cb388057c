"""The key that a report is signed with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit.envelope import Signer
from audit.render import SIGNED, SIGNED_SUFFIX, Format
from imaging import RefusedError
from service.signatures import open_signer

_NO_KEY: Final = f"The format {SIGNED} is a signed statement; --sign names the key that it needs."


def read_signer(private_key: Path | None, certificate: Path | None) -> Signer | None:
    """Read a key and its certificate; None without a key.

    Raises
    ------
    RefusedError
        If they cannot be used, or there is a certificate without a key.
    """
    if private_key is not None:
        return open_signer(private_key, certificate)
    if certificate is not None:
        raise RefusedError("--certificate is for the key of --sign, and there is none.")
    return None


def check_key_is_there(asked: str | None, paths: Sequence[Path]) -> None:
    """Refuse, where there is no key, a format or a file that needs one."""
    if asked == SIGNED or any(path.name.endswith(SIGNED_SUFFIX) for path in paths):
        raise RefusedError(_NO_KEY)


def check_key_is_used(formats: Sequence[Format]) -> None:
    """Refuse a key that signs nothing: no format of what is made is the one that it is for."""
    if SIGNED not in formats:
        raise RefusedError(
            f"--sign signs the statement in an --output that ends in {SIGNED_SUFFIX}, the one that "
            f"--format {SIGNED} prints, or the entry of a --ledger; one of them is needed."
        )
