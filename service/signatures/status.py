"""What is known of a version's signature, and who finds out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from audit.envelope import Signature
from imaging.refusal import RefusedError


class SignatureError(RefusedError):
    """A thing is not signed as it has to be; the message is one sentence."""


class SignatureStatus(BaseModel):
    """Whether a version's signature was verified when it was loaded, and who signed."""

    model_config = ConfigDict(frozen=True)

    status: Literal["verified", "not asked"]
    """`not asked`: no key is set, and a signature that may be there was not looked at."""
    key: str | None
    """`sha256:` and the digest of the signer's public key, as DER."""
    certificate: str | None
    """`sha256:` and the digest of the signer's certificate, as DER, if there is one."""
    subject: str | None
    """The subject of that certificate."""


NOT_ASKED: Final = SignatureStatus(status="not asked", key=None, certificate=None, subject=None)


class Verifier(Protocol):
    """Knows whose signatures count."""

    def verify(self, folder: Path, digests: Mapping[str, str]) -> SignatureStatus:
        """Verify the signature in a version's folder.

        Parameters
        ----------
        digests
            SHA-256 of the files that it has to sign, no more and no fewer, by name. They are those
            of what was read, so that nothing can change between the verification and the use.

        Raises
        ------
        SignatureError
            If there is none, it is broken, by somebody else, or of other files.
        """

    def verify_content(self, content: bytes | None, digests: Mapping[str, str]) -> SignatureStatus:
        """Verify a signature as `verify` does that was read already; None where there is none."""


class Trust(Protocol):
    """Knows whose signatures of messages count: of reports, of entries of a ledger."""

    def verify(self, message: bytes, signature: Signature) -> SignatureStatus:
        """Verify a signature of a message.

        Raises
        ------
        SignatureError
            If it is broken, by somebody else, or of another message.
        """
