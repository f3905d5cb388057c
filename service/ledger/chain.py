"""The order of the reports in a ledger: numbered entries, each with the digest of the one before.

An entry that was changed or taken out shows in the one that follows it and in its seal. The newest
ones, cut off with their seals, show only to somebody who wrote down the digest of one of them; a
chain that was written anew shows to him or, where entries are signed, to whoever knows the key.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from artifact.values import Sha256
from audit.canonical import sha256
from service.ledger.entry import Entry, read_entry, sealed_digest, signed
from service.signatures.status import SignatureError, Trust


@dataclass(frozen=True)
class Page:
    """Some entries, newest first.

    Attributes
    ----------
    head
        SHA-256 of the newest entry of all; None if it is not there.
    before
        Older entries have smaller numbers than this; None where there are none.
    faults
        A sentence for each thing on the way that is missing or not what it was.
    """

    entries: tuple[Entry, ...]
    head: Sha256 | None
    before: int | None
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """What a ledger has under a number: an entry and its seal, as far as they are there."""

    number: int
    entry: bytes | None
    seal: bytes | None


class ChainChecker:
    """Goes from newer entries to older ones and notices where the chain is broken.

    Parameters
    ----------
    trust
        Whose signatures count; None looks at none.

    Attributes
    ----------
    faults
        What was noticed.
    """

    def __init__(self, trust: Trust | None = None) -> None:
        self.faults: list[str] = []
        self._trust = trust
        self._follower: Entry | None = None

    def check(self, files: Files) -> Entry | None:
        """Look at the next older entry, and return it; None if there is none that can be read."""
        entry = read_entry(files.entry)
        faults = list(self._wrong(files, entry))
        self.faults += faults
        # What was changed itself accuses no other entry, where that has a seal to speak for it.
        self._follower = None if faults and entry and entry.sealed else entry
        return entry

    def miss(self, first: int, last: int) -> None:
        """Notice that all entries from one number to another are missing."""
        self.faults.append(f"The entries {first} to {last} are missing.")
        self._follower = None

    def _wrong(self, files: Files, entry: Entry | None) -> Iterator[str]:
        number = files.number
        if files.entry is None:
            yield f"Entry {number} is missing."
            return
        if entry is None or entry.number != number:
            yield f"Entry {number} cannot be read."
            return
        digest, follower = sha256(files.entry), self._follower
        if follower and follower.previous != digest:
            yield f"Entry {number} is not the one that entry {number + 1} was written behind."
        elif (entry.previous is None) != (number == 1):
            yield f"Entry {number} is not what it was: only the first has none before it."
        yield from self._wrong_seal(files, entry, digest)
        yield from self._wrong_signature(files.entry, entry)

    def _wrong_seal(self, files: Files, entry: Entry, digest: Sha256) -> Iterator[str]:
        number, follower = files.number, self._follower
        if follower and entry.sealed and not follower.sealed:
            yield (
                f"Entry {number + 1} has no seal, though entry {number} has one: a program of an "
                "older version wrote it, or it is not what it was."
            )
        if files.seal is None:
            if entry.sealed:
                yield f"The seal of entry {number} is missing."
            return
        sealed = sealed_digest(number, files.seal)
        if sealed is None:
            yield f"The seal of entry {number} cannot be read."
        elif follower is None and sealed != digest:
            yield f"Entry {number} is not the one that was sealed: it or its seal was changed."
        elif follower and sealed != follower.previous:
            yield f"The seal of entry {number} was changed."

    def _wrong_signature(self, content: bytes, entry: Entry) -> Iterator[str]:
        follower = self._follower
        if entry.signature is None:
            return
        if follower and follower.signature is None:
            yield f"Entry {follower.number} is not signed, though entry {entry.number} is."
        if self._trust is not None:
            try:
                self._trust.verify(signed(content), entry.signature)
            except SignatureError as error:
                yield f"The signature of entry {entry.number} does not verify: {error}"
