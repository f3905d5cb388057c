"""Signed envelopes (https://github.com/secure-systems-lab/dsse): bytes, their type, who signed.

What is signed is never the payload alone but its pre-authentication encoding, which holds the
payload's type too: a signature of one kind of thing is none of another. No key is known here.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from pydantic import ValidationError

from artifact.values import Value
from imaging import RefusedError


class EnvelopeError(RefusedError):
    """It is no envelope; the message is one sentence."""


class Signature(Value):
    """A signature.

    Attributes
    ----------
    keyid
        A hint at the key, as securesystemslib computes it; nobody may rely on it.
    sig
        In base64.
    cert
        PEM: the certificate of the key, then those between it and a root; None where the key is
        known by itself. DSSE has no place for it; this is the one that SLSA's generators use.
    """

    keyid: str
    sig: str
    cert: str | None = None

    @property
    def value(self) -> bytes:
        """The signature itself.

        Raises
        ------
        EnvelopeError
            If it is not in base64.
        """
        return _decoded(self.sig)


class Signer(Protocol):
    """Has a private key."""

    def sign(self, message: bytes) -> Signature:
        """Sign a message; equal messages get equal signatures."""


@dataclass(frozen=True)
class Envelope:
    """A payload with its type and its signatures."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    @classmethod
    def sealed(cls, payload: bytes, payload_type: str, signer: Signer) -> Self:
        """Sign a payload."""
        return cls(payload, payload_type, (signer.sign(encoded(payload_type, payload)),))

    @property
    def message(self) -> bytes:
        """What the signatures are of."""
        return encoded(self.payload_type, self.payload)

    def to_bytes(self) -> bytes:
        """Write it as one line of JSON, which alone is a bundle of in-toto's too."""
        document = {
            "payload": b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [each.model_dump(exclude_none=True) for each in self.signatures],
        }
        return json.dumps(document).encode() + b"\n"

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read it from its JSON; fields that it does not know are passed over, as DSSE asks.

        Raises
        ------
        EnvelopeError
            If it is none.
        """
        try:
            payload, payload_type = document["payload"], document["payloadType"]
            signatures = tuple(
                Signature.model_validate(
                    {"keyid": "", **{k: each[k] for k in Signature.model_fields if k in each}}
                )
                for each in document["signatures"]
            )
        except (KeyError, TypeError, ValidationError) as error:
            raise EnvelopeError(
                "It is no DSSE envelope; JSON with payload, payloadType and signatures is accepted."
            ) from error
        if not isinstance(payload, str) or not isinstance(payload_type, str):
            raise EnvelopeError("The payload and its type are no texts.")
        if not _is_unicode(payload_type):
            raise EnvelopeError("The payload's type has half a character, which no text has.")
        return cls(_decoded(payload), payload_type, signatures)


def encoded(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding (DSSE v1, protocol.md, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON's escapes can name one half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeError("A part of the envelope is not in base64.") from error
