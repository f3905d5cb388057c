"""Reports by their digest, and the chain of entries that says when each was stored.

    <ledger>/reports/<digest>.json          a report's canonical JSON: its evidence
             circumstances/<digest>.json    how a report was asked for, and where its images lay
             entries/<number>.json          which were stored, when, and what came before
             entries/<number>.sha256        the digest of that entry

Several processes, on several machines, may append to one ledger: an entry is created under the next
free number, or not at all, and whoever comes second takes the number after.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Final

from artifact.json_document import read_json
from artifact.values import Sha256
from audit import Report
from audit.canonical import (
    canonical,
    canonical_json,
    circumstances_json,
    joined,
    sha256,
)
from audit.envelope import Signer
from service.ledger.chain import ChainChecker, Files, Page
from service.ledger.entry import (
    CIRCUMSTANCES,
    GREATEST,
    REPORTS,
    Entry,
    circumstances_file,
    entry_file,
    file_number,
    named_files,
    read_entry,
    report_file,
    seal,
    seal_file,
    sealed_digest,
    signed,
    wrong_contents,
)
from service.ledger.store import (
    MOST_ENTRY,
    MOST_REPORT,
    LedgerError,
    Store,
    TamperedError,
    UntrustedError,
)
from service.signatures.status import SignatureError, Trust

_ENTRIES: Final = "entries"
_FOLDERS: Final = (REPORTS, CIRCUMSTANCES, _ENTRIES)
_CHUNK: Final = 64
_LOOKED_AT: Final = 2048
_TRIES: Final = 1000

Miss = Callable[[int, int], None]
"""Called with the first and the last of numbers that are missing."""

_SEALING: Final = 1.0
"""Seconds that the seal of an entry may be on its way, if that is one of the newest `_CHUNK`."""


class Ledger:
    """An append-only ledger; its methods wait for the file system and belong on a thread.

    Parameters
    ----------
    signer
        Signs entries; without it they are not signed.
    trust
        Whose signatures of entries count where they are listed.
    """

    def __init__(
        self, store: Store, signer: Signer | None = None, trust: Trust | None = None
    ) -> None:
        self._store, self._signer, self._trust = store, signer, trust
        self._newest = 0
        self._waited_for = set[int]()  # in vain: once is enough
        self.newest()

    def check_writable(self) -> None:
        """Raise LedgerError if it is a folder to which nothing can be appended."""
        self._store.check_writable(*_FOLDERS)

    def append(self, report: Report) -> Entry:
        """Store a report, and that it was stored now.

        Raises
        ------
        LedgerError
            If it cannot be stored, or what is there under its digest is another.
        """
        evidence, asked = canonical_json(report), circumstances_json(report)
        digests = sha256(evidence), sha256(asked)
        self._keep(report_file(digests[0]), evidence)
        self._keep(circumstances_file(digests[1]), asked)
        for _ in range(_TRIES):  # each one that fails is another process's success
            last = self._last()
            if last is not None and last.seal is None:
                with suppress(LedgerError):  # which hinders no report
                    self._seal_left(last)
            if last is not None and last.number == GREATEST:
                raise LedgerError(
                    f"The ledger has a file of entry {GREATEST}, after which there is no number."
                )
            before = None if last is None else (last.number, _digest(last))
            entry = Entry.of(report, digests, before, self._signer)
            file, content = f"{_ENTRIES}/{entry_file(entry.number)}", entry.to_bytes()
            # One that is there may be this one: file systems repeat what they have no answer to.
            if self._store.create(file, content) or self._is_there(file, content):
                line = seal(entry.number, sha256(content))
                self._store.create(f"{_ENTRIES}/{seal_file(entry.number)}", line)
                return entry
        raise LedgerError("The ledger takes no entry, and shows none under its number.")

    def read(self, digest: Sha256) -> bytes | None:
        """Return the canonical JSON of a report; None if none of this digest was stored.

        Raises
        ------
        TamperedError
            If it is no longer what was stored, or was taken out.
        LedgerError
            If it cannot be read.
        """
        (content,) = self._store.read([report_file(digest)])
        if content is not None and sha256(content) != digest:
            raise TamperedError(
                f"The report {digest} was changed after it was stored, and is not shown."
            )
        if content is None and (entry := self._entry_of(digest)) is not None:
            raise TamperedError(
                f"The report {digest} was stored as entry {entry.number}, and was taken out of the "
                "ledger since."
            )
        return content

    def read_whole(self, digest: Sha256) -> bytes | None:
        """Return a report as `read` does, with how it was last asked for, as far as that is known.

        It is looked for in the newest 2048 entries.
        """
        content = self.read(digest)
        return None if content is None else self._whole(content, self._entry_of(digest))

    def read_trusted(self, digest: Sha256) -> bytes | None:
        """Return a report as `read_whole` does, by the newest entry whose signature is trusted.

        Raises
        ------
        UntrustedError
            If none of the newest 2048 entries that name the report is: whoever can write to the
            ledger may have put it there.
        """
        content = self.read(digest)
        if content is None:
            return None
        entry = self._entry_of(digest, self._trusts)
        if entry is None:
            raise UntrustedError(
                f"No entry among the newest {_LOOKED_AT} that is signed by who is trusted names "
                f"the report {digest}."
            )
        return self._whole(content, entry)

    def page(
        self,
        limit: int,
        before: int | None = None,
        wanted: Callable[[Entry], bool] = lambda entry: True,
    ) -> Page:
        """Return up to `limit` entries, newest first.

        At most 2048 are looked at, so that a page may be short, or empty, and not the last.

        Parameters
        ----------
        before
            Begin with the entry before the one of this number.
        wanted
            Which entries are listed, and their reports looked at; all are looked at for faults.

        Raises
        ------
        LedgerError
            If the entries cannot be read.
        """
        numbers = self._numbers()
        newest = max(numbers, default=0)
        # The entry that a page begins behind is looked at too: the chain has no gap between pages.
        first = newest if before is None else min(before, newest)
        head, faults = self._head(newest, first)
        below = {each for each in numbers if each < first} | {first}
        checker, listed, older = ChainChecker(self._trust), list[Entry](), None
        for looked_at, files in enumerate(self._walk(below, 1, checker.miss)):
            number, entry = files.number, checker.check(files)
            if entry is not None and (before is None or number < before) and wanted(entry):
                listed.append(entry)
            if len(listed) == limit or looked_at == _LOOKED_AT:
                older = number if number > 1 else None
                break
        faults += [*checker.faults, *self.wrong_contents(listed)]
        return Page(tuple(listed), head, older, tuple(faults))

    def backwards(self, last: int = 1, miss: Miss = lambda first, last: None) -> Iterator[Files]:
        """Yield what there is under numbers, from the greatest one to another.

        Parameters
        ----------
        miss
            Called with the first and the last of numbers that are left out, as more are missing
            than are worth a look at each: whoever can write to a ledger can give a file any number.
        """
        yield from self._walk(self._numbers(), last, miss)

    def _walk(self, numbers: Iterable[int], last: int, miss: Miss) -> Iterator[Files]:
        above = 0
        for low, high in _runs(each for each in numbers if each >= last):
            if above:
                miss(high + 1, above - 1)
            above = last if low - last < _CHUNK else low
            for start in range(high, above - 1, -_CHUNK):
                yield from self._files(range(start, max(above - 1, start - _CHUNK), -1))
        if above > last:
            miss(last, above - 1)

    def wrong_contents(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Say what is wrong with what entries name."""
        named = [named_files(entry) for entry in entries]
        read = self._store.reports([file for files in named for file in files])
        for entry, files in zip(entries, named, strict=True):
            yield from wrong_contents(entry, [next(read) for _ in files])

    def newest(self) -> int:
        """Return the greatest number that an entry has, or had; 0 in an empty ledger."""
        return max(self._numbers(), default=0)

    def names(self) -> set[str]:
        """Return the files that entries may name, and that are there."""
        folders = (REPORTS, CIRCUMSTANCES)
        return {
            f"{each}/{name}" for each in folders for name in self._store.names(each, optional=True)
        }

    def _numbers(self) -> set[int]:
        """Return the numbers that have files."""
        found = {n for name in self._store.names(_ENTRIES) if (n := file_number(name))}
        self._newest = max(found, default=0)
        return found

    def _keep(self, file: str, content: bytes) -> None:
        if len(content) > MOST_REPORT:
            raise LedgerError(
                f"The report has {len(content)} bytes, and a ledger takes {MOST_REPORT} at most; "
                "an audit of fewer images is accepted."
            )
        if self._store.create(file, content):
            return
        if self._store.read([file]) != [content]:
            raise TamperedError(f"What is stored as {file} was changed after it was stored.")

    def _is_there(self, file: str, entry: bytes) -> bool:
        return self._store.read([file], MOST_ENTRY) == [entry]

    def _seal_left(self, files: Files) -> None:
        """Seal an entry whose writer was ended before it did so, if all else about it is right."""
        entry, number = read_entry(files.entry), files.number
        if entry is None or not entry.sealed:
            return
        line = seal(number, _digest(files))
        checker = ChainChecker(self._trust)
        checker.check(replace(files, seal=line))
        for before in self._read([number - 1] if number > 1 else []):
            checker.check(before)
        if not checker.faults and not [*self.wrong_contents([entry])]:
            self._store.create(f"{_ENTRIES}/{seal_file(number)}", line)

    def _head(self, newest: int, first: int) -> tuple[Sha256 | None, list[str]]:
        """Return the digest of the newest entry; what is wrong with it, where no page shows it."""
        if newest == 0:
            return None, []
        (files,) = self._files([newest])
        checker = ChainChecker(self._trust)
        if first != newest:
            checker.check(files)
        return None if files.entry is None else sha256(files.entry), checker.faults

    def _last(self) -> Files | None:
        newest = self.newest()
        return self._read([newest])[0] if newest else None

    def _files(self, numbers: Sequence[int]) -> list[Files]:
        """Read entries and seals; those of the newest, which may be being written, are waited for.

        No clock says which are new: those of several machines differ.
        """
        until = time.monotonic() + _SEALING
        while True:
            read = self._read(numbers)
            unsealed = {files.number for files in read if self._may_be_sealed_now(files)}
            if not unsealed:
                return read
            if time.monotonic() > until:
                self._waited_for |= unsealed
                return read
            time.sleep(_SEALING / 20)

    def _may_be_sealed_now(self, files: Files) -> bool:
        number = files.number
        if files.seal is not None or number in self._waited_for or number <= self._newest - _CHUNK:
            return False
        entry = read_entry(files.entry)
        return entry is not None and entry.sealed

    def _read(self, numbers: Sequence[int]) -> list[Files]:
        entries, seals = (
            self._store.read([f"{_ENTRIES}/{name(number)}" for number in numbers], MOST_ENTRY)
            for name in (entry_file, seal_file)
        )
        return [Files(*each) for each in zip(numbers, entries, seals, strict=True)]

    def _entry_of(
        self, digest: Sha256, counts: Callable[[bytes, Entry], bool] = lambda content, entry: True
    ) -> Entry | None:
        for files in islice(self.backwards(), _LOOKED_AT + 1):
            content, entry = files.entry, read_entry(files.entry)
            if content and entry and entry.report == digest and counts(content, entry):
                return entry
        return None

    def _trusts(self, content: bytes, entry: Entry) -> bool:
        if self._trust is None or entry.signature is None:
            return False
        try:
            self._trust.verify(signed(content), entry.signature)
        except SignatureError:
            return False
        return True

    def _whole(self, content: bytes, entry: Entry | None) -> bytes:
        """Return a report with how an entry says that it was asked for, as far as that is known."""
        if entry is None or entry.circumstances is None:
            return content
        (asked,) = self._store.read([circumstances_file(entry.circumstances)])
        if asked is None or sha256(asked) != entry.circumstances:
            return content
        try:
            return canonical(joined(read_json(content), read_json(asked)))
        except (TypeError, ValueError, RecursionError):  # what no program of ours has written
            return content


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the least and the greatest of numbers that lie close together, greater ones first."""
    low = high = 0
    for number in sorted(numbers, reverse=True):
        if low - number > _CHUNK:
            yield low, high
        if not low or low - number > _CHUNK:
            high = number
        low = number
    if low:
        yield low, high


def _digest(files: Files) -> Sha256:
    """Return the digest of an entry, by its seal where it was taken out: others follow it too.

    Of a seal that is none, its own: no writer leaves it, and a number is not given twice.
    """
    if files.entry is not None:
        return sha256(files.entry)
    if files.seal is None:
        raise LedgerError(f"Entry {files.number} of the ledger is listed and not there.")
    return sealed_digest(files.number, files.seal) or sha256(files.seal)


def open_ledger(
    url: str, signer: Signer | None = None, trust: Trust | None = None, *, make: bool = True
) -> Ledger:
    """Open the ledger in a folder, or at a URL of fsspec's.

    Parameters
    ----------
    signer, trust
        See `Ledger`.
    make
        Whether to make the folders that it needs.

    Raises
    ------
    LedgerError
        If it cannot be opened or written.
    """
    store = Store(url)
    if make:
        store.make_folders(*_FOLDERS)
        store.clear_up(*_FOLDERS)
    return Ledger(store, signer, trust)
