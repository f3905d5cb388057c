"""Reports of the ledger, read to do more with them than to answer them."""

from pydantic import ValidationError

from artifact.values import Sha256
from audit import Report
from service.audits import JobQueue
from service.errors import NotFoundError, ServiceError, UnavailableError, UnprocessableError
from service.ledger import Ledger, LedgerError, TamperedError


class CorruptError(ServiceError):
    """What is stored is not what was stored."""


def ledger_of(audits: JobQueue) -> Ledger:
    """Return the service's ledger; NotFoundError if it keeps none."""
    if audits.ledger is None:
        raise NotFoundError(
            "This service keeps no ledger of its audits; one whose ORBITSERVE_LEDGER names a "
            "folder or a URL does."
        )
    return audits.ledger


def read_stored(ledger: Ledger, digest: Sha256, *, whole: bool = False) -> Report:
    """Read a report of the ledger; where it is wanted whole, with what its images are called.

    Raises
    ------
    NotFoundError
        If there is none of this digest.
    CorruptError, UnavailableError
        If it was changed, or cannot be read.
    UnprocessableError
        If it has another schema.
    """
    try:
        stored = (ledger.read_whole if whole else ledger.read)(digest)
    except TamperedError as error:
        raise CorruptError(str(error)) from error
    except LedgerError as error:
        raise UnavailableError(str(error)) from error
    if stored is None:
        raise NotFoundError(f"There is no audit '{digest}' in the ledger; GET /audits lists them.")
    try:
        return Report.model_validate_json(stored)
    except ValidationError:
        raise UnprocessableError(
            f"The report {digest} was stored by another version of the service, which wrote "
            "another schema."
        ) from None
