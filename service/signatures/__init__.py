"""Signatures of versions, in the format of the OpenSSF's `model-signing`, without any network.

That package is the extra `signing`, large, and imported only where a signature is asked for.
"""

from service.signatures.opening import open_verifier, sign
from service.signatures.status import (
    NOT_ASKED,
    SIGNATURE_FILE,
    SignatureError,
    SignatureStatus,
    Verifier,
)

__all__ = [
    "NOT_ASKED",
    "SIGNATURE_FILE",
    "SignatureError",
    "SignatureStatus",
    "Verifier",
    "open_verifier",
    "sign",
]
