"""Signatures of versions, reports and entries of a ledger, without any network.

Those of versions have the format of the OpenSSF's `model-signing`. That package is the extra
`signing`, large, and imported only where a signature is asked for.
"""

from service.signatures.factory import (
    configured_signer,
    open_signer,
    open_trust,
    open_verifier,
    sign,
)
from service.signatures.status import (
    NOT_ASKED,
    SignatureError,
    SignatureStatus,
    Trust,
    Verifier,
)

__all__ = [
    "NOT_ASKED",
    "SignatureError",
    "SignatureStatus",
    "Trust",
    "Verifier",
    "configured_signer",
    "open_signer",
    "open_trust",
    "open_verifier",
    "sign",
]
