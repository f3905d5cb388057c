"""Reports by their digest, and the chain of entries that says when each was stored.

    <ledger>/reports/<digest>.json    a report's canonical JSON
             entries/<number>.json    which report was stored, when, and what came before

Several processes, on several machines, may append to one ledger: an entry is created under the next
free number, or not at all, and whoever comes second takes the number after.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from audit import Report
from audit.canonical import canonical_json
from audit.values import Sha256
from service.ledger.chain import Entry, Page, Walk, entry_file, entry_number, sha256
from service.ledger.store import LedgerError, Store, TamperedError

_REPORTS: Final = "reports"
_ENTRIES: Final = "entries"
_CHUNK: Final = 64
_LOOKED_AT: Final = 2048
_TRIES: Final = 1000


class Ledger:
    """An append-only ledger; its methods wait for the file system and belong on a thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.make_folders(_REPORTS, _ENTRIES)
        self._newest()

    def append(self, report: Report) -> Entry:
        """Store a report, and that it was stored now.

        Raises
        ------
        LedgerError
            If it cannot be stored, or what is there under its digest is another.
        """
        content = canonical_json(report)
        digest = sha256(content)
        if not self._store.create(_report_file(digest), content):
            self.read(digest)
        for _ in range(_TRIES):  # each one that fails is another process's success
            entry = Entry.of(report, digest, self._last())
            if self._store.create(f"{_ENTRIES}/{entry_file(entry.number)}", entry.to_bytes()):
                return entry
        raise LedgerError("The ledger takes no entry, and shows none under its number.")

    def read(self, digest: Sha256) -> bytes | None:
        """Return the canonical JSON of a report; None if there is none of this digest.

        Raises
        ------
        TamperedError
            If it is no longer what was stored.
        LedgerError
            If it cannot be read.
        """
        (content,) = self._store.read([_report_file(digest)])
        if content is not None and sha256(content) != digest:
            raise TamperedError(
                f"The report {digest} was changed after it was stored, and is not shown."
            )
        return content

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
            Which entries are listed; all are looked at for faults.

        Raises
        ------
        LedgerError
            If the entries cannot be read.
        """
        newest = self._newest()
        # The entry that a page begins behind is looked at too: the chain has no gap between pages.
        first = newest if before is None else min(before, newest)
        last = max(1, first - _LOOKED_AT)
        walk, listed, number = Walk(), list[Entry](), first
        for number, content in self._backwards(first, last):
            entry = walk.step(number, content)
            if entry is not None and (before is None or number < before) and wanted(entry):
                listed.append(entry)
            if len(listed) == limit:
                break
        rest = number if number > 1 else None
        return Page(tuple(listed), self._head(newest), rest, tuple(walk.faults))

    def _backwards(self, first: int, last: int) -> Iterator[tuple[int, bytes | None]]:
        for start in range(first, last - 1, -_CHUNK):
            numbers = range(start, max(last - 1, start - _CHUNK), -1)
            yield from zip(numbers, self._contents(numbers), strict=True)

    def _head(self, newest: int) -> Sha256 | None:
        (content,) = self._contents([newest])
        return None if content is None else sha256(content)

    def _last(self) -> tuple[int, bytes] | None:
        newest = self._newest()
        if newest == 0:
            return None
        (content,) = self._contents([newest])
        if content is None:
            raise LedgerError(f"Entry {newest} of the ledger is listed and not there.")
        return newest, content

    def _newest(self) -> int:
        names = self._store.names(_ENTRIES)
        return max((number for name in names if (number := entry_number(name))), default=0)

    def _contents(self, numbers: Sequence[int]) -> list[bytes | None]:
        return self._store.read([f"{_ENTRIES}/{entry_file(number)}" for number in numbers])


def open_ledger(url: str) -> Ledger:
    """Open the ledger in a folder, or at a URL of fsspec's, making the folders that it needs.

    Raises
    ------
    LedgerError
        If it cannot be opened or written.
    """
    return Ledger(Store(url))


def _report_file(digest: Sha256) -> str:
    return f"{_REPORTS}/{digest}.json"
