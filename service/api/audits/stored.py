"""Reports of the ledger, read to do more with them than to answer them."""

import re

from pydantic import ValidationError

from artifact.values import Sha256
from audit import Report
from service.audits import JobQueue
from service.errors import ServiceError, UnavailableError
from service.ledger import Ledger, LedgerError, TamperedError

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


def read_bytes(ledger: Ledger, digest: str, *, whole: bool) -> bytes:
    """Read a report's JSON; where it is wanted whole, with what its images are called.

    Raises
    ------
    ServiceError (404)
        If there is none of this digest.
    ServiceError (500), UnavailableError
        If it was changed, or cannot be read.
    """
    try:
        read = ledger.read_whole if whole else ledger.read
        stored = read(digest) if _DIGEST.fullmatch(digest) else None
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
    """Read a report as `read_bytes` does; ServiceError (422) if it has another schema."""
    stored = read_bytes(ledger, digest, whole=whole)
    try:
        return Report.model_validate_json(stored)
    except ValidationError:
        raise ServiceError(
            422,
            f"The report {digest} was stored by another version of the service, which wrote "
            "another schema.",
        ) from None
