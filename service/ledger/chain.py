"""The order of the reports in a ledger: numbered entries, each with the digest of the one before.

An entry that was changed or taken out shows in the one that follows it. The newest ones, cut off,
show only to somebody who remembers the digest of the last.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Self

from pydantic import Field, ValidationError

from audit import Report, Verdict
from audit.values import Sha256, Value

_DIGITS: Final = 10


class Entry(Value):
    """One audit.

    Attributes
    ----------
    number
        From 1, without gaps.
    stored
        When, by the clock of the machine that stored it.
    report
        SHA-256 of the report's canonical JSON: its address.
    previous
        SHA-256 of the entry before, as its file has it; None for the first.
    """

    number: Annotated[int, Field(ge=1)]
    stored: datetime
    report: Sha256
    verdict: Verdict
    model: str
    version: int
    group: str
    previous: Sha256 | None

    @classmethod
    def of(cls, report: Report, digest: Sha256, last: tuple[int, bytes] | None) -> Self:
        """Make the entry of a report behind the last one, given that one's number and bytes."""
        number, before = (0, None) if last is None else last
        return cls(
            number=number + 1,
            stored=datetime.now(UTC),
            report=digest,
            verdict=report.verdict,
            model=report.model.name,
            version=report.model.version,
            group=report.group,
            previous=None if before is None else sha256(before),
        )

    def to_bytes(self) -> bytes:
        """Return what its file holds."""
        return self.model_dump_json().encode()


@dataclass(frozen=True)
class Page:
    """Some entries, newest first.

    Attributes
    ----------
    head
        SHA-256 of the newest entry of all; None in an empty ledger.
    before
        Older entries have smaller numbers than this; None where there are none.
    faults
        A sentence for each entry on the way that is missing or not what it was.
    """

    entries: tuple[Entry, ...]
    head: Sha256 | None
    before: int | None
    faults: tuple[str, ...]


def entry_file(number: int) -> str:
    """Return the name of an entry's file: names sort as numbers do."""
    return f"{number:0{_DIGITS}}.json"


def entry_number(name: str) -> int | None:
    """Return the number in the name of an entry's file; None for another file."""
    stem = name.removesuffix(".json")
    return int(stem) if stem.isdecimal() and entry_file(int(stem)) == name else None


def sha256(content: bytes) -> Sha256:
    """Return the digest in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class Walk:
    """Goes from newer entries to older ones and notices where the chain is broken.

    Attributes
    ----------
    faults
        What was noticed.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._follower: Entry | None = None

    def step(self, number: int, content: bytes | None) -> Entry | None:
        """Take the next older entry from its file; None if there is none that can be read."""
        entry = _read(content)
        self.faults += self._wrong(number, content, entry)
        self._follower = entry
        return entry

    def _wrong(self, number: int, content: bytes | None, entry: Entry | None) -> Iterator[str]:
        if content is None:
            yield f"Entry {number} is missing."
        elif entry is None or entry.number != number:
            yield f"Entry {number} cannot be read."
        elif self._follower and self._follower.previous != sha256(content):
            yield f"Entry {number} is not the one that entry {number + 1} was written behind."
        elif (entry.previous is None) != (number == 1):
            yield f"Entry {number} is not what it was: only the first has none before it."


def _read(content: bytes | None) -> Entry | None:
    try:
        return None if content is None else Entry.model_validate_json(content)
    except ValidationError:
        return None
