"""The ledger that a report is appended to."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from audit import Report
from audit.canonical import sha256
from audit.envelope import Signer
from commands.writing import local_place
from imaging import RefusedError
from service.ledger import LedgerError, open_ledger


def check_outside(url: str, outputs: Iterable[Path]) -> None:
    """Refuse an output in the folder of a ledger, where it could take an entry's place.

    Raises
    ------
    RefusedError
        If there is one, with its name.
    """
    place = local_place(url)
    folder = None if place is None else Path(os.path.realpath(place))
    for path in outputs:
        if folder in Path(os.path.realpath(path.parent), path.name).parents:
            raise RefusedError(
                f"The file {path} lies in the ledger {url}, where nothing is written over; another "
                "folder is accepted."
            )


def open_appender(url: str, signer: Signer | None = None) -> Callable[[Report], str]:
    """Open a ledger, in a folder or at a URL of fsspec's, before there is a report for it.

    Parameters
    ----------
    signer
        Signs the entry, if there is one.

    Returns
    -------
    What appends a report, and says in a line where it is.

    Raises
    ------
    ValueError
        Now or then, if the ledger cannot be opened or written.
    """
    try:
        ledger = open_ledger(url, signer)
        ledger.check_writable()
    except LedgerError as error:
        raise RefusedError(f"{url}: {error}") from error

    def append(report: Report) -> str:
        try:
            entry = ledger.append(report)
        except LedgerError as error:
            raise RefusedError(f"{url}: {error}") from error
        head = sha256(entry.to_bytes())
        return f"{url}: entry {entry.number}, report {entry.report}, head {head}"

    return append
