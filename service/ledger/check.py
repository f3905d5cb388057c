"""The whole of a ledger, held against itself and against what somebody wrote down of it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from artifact.values import Sha256
from audit.canonical import sha256
from service.ledger.chain import ChainChecker
from service.ledger.entry import Entry, named_files, read_entry
from service.ledger.ledger import Ledger
from service.signatures.status import Trust

_NAMING: Final = 5.0
"""Seconds that the entry of a report that is stored may be on its way."""


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes
    ----------
    entries
        How many can be read.
    signed
        How many of them are signed.
    head
        SHA-256 of the newest; None if there is none.
    faults
        A sentence for each thing that is missing or not what it was.
    """

    entries: int
    signed: int
    head: Sha256 | None
    faults: tuple[str, ...]


def check_ledger(
    ledger: Ledger,
    held: Sha256 | None = None,
    trust: Trust | None = None,
    *,
    unsigned: bool = False,
) -> Check:
    """Read every file of a ledger; what is appended meanwhile is no fault.

    Parameters
    ----------
    held
        The digest of the newest entry at an earlier time, as somebody wrote it down.
    trust
        Who has to have signed the newest entry, and with it all before; None looks at no signature.
    unsigned
        Whether the newest may have none.

    Raises
    ------
    LedgerError
        If it cannot be read.
    """
    checker, entries, digests = ChainChecker(trust), list[Entry](), list[Sha256]()
    kept = ledger.names()  # before the entries: a report is stored before what names it
    for files in ledger.backwards(miss=checker.miss):
        entry = checker.check(files)
        if files.entry is not None:
            digests.append(sha256(files.entry))
        if entry is not None:
            entries.append(entry)
    faults = [*checker.faults, *ledger.wrong_contents(entries), *_unnamed(ledger, kept, entries)]
    if not digests:
        faults.append("The ledger has no entry.")
    elif trust is not None and not unsigned and (not entries or entries[0].signature is None):
        faults.append("The newest entry is not signed.")
    if held is not None and held not in digests:
        faults.append(
            f"No entry has the digest {held} any more: entries up to that one were changed or cut "
            "off."
        )
    signed = sum(entry.signature is not None for entry in entries)
    return Check(len(entries), signed, next(iter(digests), None), tuple(faults))


def _unnamed(ledger: Ledger, kept: set[str], entries: list[Entry]) -> Iterator[str]:
    last = entries[0].number if entries else 0
    left, until = kept - _named(entries), time.monotonic() + _NAMING
    while left and time.monotonic() < until:
        time.sleep(_NAMING / 100)
        left -= _named(_above(ledger, last))
    for file in sorted(left):
        yield (
            f"No entry names {file}: its entry was taken out or changed, or never written because "
            "its program ended or the disk was full."
        )


def _named(entries: Iterable[Entry]) -> set[str]:
    return {file for entry in entries for file in named_files(entry)}


def _above(ledger: Ledger, number: int) -> Iterator[Entry]:
    """Yield the entries that there are by now of greater numbers."""
    for files in ledger.backwards(number + 1):
        entry = read_entry(files.entry)
        if entry is not None:
            yield entry
