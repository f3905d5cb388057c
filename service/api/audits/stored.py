"""Reports of the ledger, read to do more with them than to answer them."""

import re
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from artifact.values import Sha256
from audit import Report
from audit.reading import first_fault
from imaging.files import MEBIBYTE
from service.audits import JobQueue
from service.errors import ServiceError, UnavailableError
from service.ledger import Ledger, LedgerError, TamperedError, UntrustedError

_MOST_READ: Final = 2**26
"""Bytes of a report that is more than answered; as objects it takes some ten times as many."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def ledger_of(audits: JobQueue) -> Ledger:
    """Return the service's ledger; ServiceError (404) if it keeps none."""
    if audits.ledger is None:
        raise ServiceError(
            404,
            "This service keeps no ledger of its audits; one whose ORBITSERVE_LEDGER names a "
            "folder or a URL does.",
        )
    return audits.ledger


def read_bytes(read: Callable[[Sha256], bytes | None], digest: str) -> bytes:
    """Read a report's JSON in one of the ways that a ledger has.

    Raises
    ------
    ServiceError (404)
        If there is none of this digest.
    ServiceError (406)
        If it is wanted as somebody says who is trusted, and nobody does.
    ServiceError (500), UnavailableError
        If it was changed, or cannot be read.
    """
    try:
        stored = read(digest) if _DIGEST.fullmatch(digest) else None
    except UntrustedError as error:
        raise ServiceError(
            406, f"{str(error).rstrip('.')}, and it is not signed here; format=json is accepted."
        ) from error
    except TamperedError as error:
        raise ServiceError(500, str(error)) from error
    except LedgerError as error:
        raise UnavailableError(str(error)) from error
    if stored is None:
        raise ServiceError(
            404, f"There is no audit '{digest}' in the ledger; GET /audits lists them."
        )
    return stored


def read_stored(ledger: Ledger, digest: Sha256, *, whole: bool = False) -> Report:
    """Read a report, with what its images are called where it is wanted whole.

    Raises
    ------
    ServiceError, UnavailableError
        As `read_bytes` does, and as `parsed` does, with 422.
    """
    stored = read_bytes(ledger.read_whole if whole else ledger.read, digest)
    return parsed(
        stored, f"The report {digest}", 422, "a smaller one that this version wrote is accepted"
    )


def parsed(stored: bytes, name: str, status: int, accepted: str) -> Report:
    """Read the JSON of a report that is stored.

    Raises
    ------
    ServiceError
        With the status, if it is very large, has another schema or contradicts itself.
    """
    if len(stored) > _MOST_READ:
        raise ServiceError(
            status, f"{name} has more than {_MOST_READ // MEBIBYTE} MiB; {accepted}."
        )
    try:
        return Report.model_validate_json(stored)
    except ValidationError as error:
        raise ServiceError(
            status,
            f"{name} is of another schema than this version of the service reads, or contradicts "
            f"itself{first_fault(error)}; {accepted}.",
        ) from None
