"""One entry of a ledger, and whether what it names is there and still what it was."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final, Self

import msgspec
from pydantic import AfterValidator, AwareDatetime, Field

from artifact.json_document import read_json
from artifact.values import Sha256, Value, Verdict
from audit import Report
from audit.canonical import canonical, sha256
from audit.envelope import Signature, Signer, encoded

SIGNED_TYPE: Final = "application/vnd.orbitserve.ledger-entry+json"
"""What an entry's signature is of, as DSSE names types."""

_DIGITS: Final = 10
_MOST_DIGITS: Final = 15
_SEAL = re.compile(rb"([0-9a-f]{64})  [0-9]+\.json\n")

GREATEST: Final = 10**_MOST_DIGITS - 1
"""The greatest number of an entry: every reader of JSON holds it exactly."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the moment lies before the first year or after the last") from error


class Entry(Value):
    """One audit.

    Attributes
    ----------
    number
        From 1, without gaps.
    stored
        When, by the clock of the machine that stored it: in UTC, whatever zone its file names.
    report
        SHA-256 of the report's canonical JSON: its address.
    previous
        SHA-256 of the entry before, as its file has it; None for the first.
    circumstances
        SHA-256 of how the report was asked for, which is stored apart from it. None in entries of
        older versions, which have no seal either.
    signature
        Of the entry without this field, where a key was configured.
    """

    number: Annotated[int, Field(ge=1, le=GREATEST)]
    stored: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    report: Sha256
    verdict: Verdict
    model: str
    version: int
    group: str
    previous: Sha256 | None
    circumstances: Sha256 | None = None
    signature: Signature | None = None

    @classmethod
    def of(
        cls,
        report: Report,
        digests: tuple[Sha256, Sha256],
        last: tuple[int, Sha256] | None,
        signer: Signer | None,
    ) -> Self:
        """Make the entry of a report.

        Parameters
        ----------
        digests
            Of the report and of its circumstances.
        last
            Number and digest of the entry before; None for the first.
        """
        number, before = (0, None) if last is None else last
        digest, circumstances = digests
        entry = cls(
            number=number + 1,
            stored=datetime.now(UTC),
            report=digest,
            verdict=report.verdict,
            model=report.model.name,
            version=report.model.version,
            group=report.group,
            previous=before,
            circumstances=circumstances,
        )
        if signer is None:
            return entry
        return entry.model_copy(update={"signature": signer.sign(signed(entry.to_bytes()))})

    @property
    def sealed(self) -> bool:
        """Whether it was written with a seal."""
        return self.circumstances is not None

    def to_bytes(self) -> bytes:
        """Return what its file holds."""
        return self.model_dump_json().encode()


def read_entry(content: bytes | None) -> Entry | None:
    """Read an entry's file; None if it holds none, or readers could differ about it."""
    try:
        return None if content is None else Entry.model_validate(read_json(content))
    except ValueError:
        return None


def signed(content: bytes) -> bytes:
    """Return what the signature in an entry's file is of."""
    document = json.loads(content)
    document.pop("signature", None)
    return encoded(SIGNED_TYPE, canonical(document))


def entry_file(number: int) -> str:
    """Return the name of an entry's file: names sort as numbers do."""
    return f"{number:0{_DIGITS}}.json"


def seal_file(number: int) -> str:
    """Return the name of the file of its seal."""
    return f"{number:0{_DIGITS}}.sha256"


def file_number(name: str) -> int | None:
    """Return the number in the name of an entry's file, or of a seal's; None for another file.

    A greater number than entries have is that of none: the file after it could have no name.
    """
    stem = name.partition(".")[0]
    if not stem.isdecimal() or len(stem) > _MOST_DIGITS:
        return None
    number = int(stem)
    return number if name in (entry_file(number), seal_file(number)) else None


def seal(number: int, digest: Sha256) -> bytes:
    """Return what the seal of an entry holds: `sha256sum --check` reads it."""
    return f"{digest}  {entry_file(number)}\n".encode()


def sealed_digest(number: int, content: bytes | None) -> Sha256 | None:
    """Return the digest in a seal; None if it is none of this number."""
    found = None if content is None else _SEAL.fullmatch(content)
    if found is None or seal(number, found[1].decode()) != content:
        return None
    return found[1].decode()


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
    except (
        msgspec.DecodeError,
        RecursionError,
    ):  # of a schema that is yet to come, which its own program can read
        return True
    said = (entry.verdict, entry.group, entry.model, entry.version)
    return (told.verdict, told.group, told.model.name, told.model.version) == said
