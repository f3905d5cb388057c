"""What entries name: whether it is there, and still what it was."""

from collections.abc import Iterator
from typing import Final

import msgspec

from artifact.values import Sha256
from audit.canonical import sha256
from service.ledger.entry import Entry

REPORTS: Final = "reports"
CIRCUMSTANCES: Final = "circumstances"


class _Model(msgspec.Struct):
    name: str
    version: int


class _Summary(msgspec.Struct):
    """Of a report, what its entry repeats."""

    verdict: str
    group: str
    model: _Model


def report_file(digest: Sha256) -> str:
    """Return where a report is."""
    return f"{REPORTS}/{digest}.json"


def circumstances_file(digest: Sha256) -> str:
    """Return where it is kept how a report was asked for."""
    return f"{CIRCUMSTANCES}/{digest}.json"


def named_files(entry: Entry) -> list[str]:
    """Return the files that an entry names: its report's, then that of its circumstances."""
    files = [report_file(entry.report)]
    if entry.circumstances is not None:
        files.append(circumstances_file(entry.circumstances))
    return files


def wrong_contents(entry: Entry, contents: list[bytes | None]) -> Iterator[str]:
    """Say what is wrong with the files that an entry names, given in that order."""
    report, *rest = contents
    number, digest = entry.number, entry.report
    if report is None:
        yield f"The report of entry {number} is missing: {digest}."
    elif sha256(report) != digest:
        yield f"The report of entry {number} was changed: {digest}."
    elif not _tells(report, entry):
        yield f"Entry {number} is not what it was: it does not say what its report says."
    for circumstances in rest:
        if circumstances is None:
            yield f"How the report of entry {number} was asked for is missing."
        elif sha256(circumstances) != entry.circumstances:
            yield f"How the report of entry {number} was asked for was changed."


def _tells(report: bytes, entry: Entry) -> bool:
    try:
        told = msgspec.json.decode(report, type=_Summary)
    except msgspec.DecodeError:  # of a schema that is yet to come, which its own program can read
        return True
    said = (entry.verdict, entry.group, entry.model, entry.version)
    return (told.verdict, told.group, told.model.name, told.model.version) == said
