"""Tables of CSV, for spreadsheets and programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

_FORMULA: Final = frozenset("=+-@|%＝＋－＠")  # noqa: RUF001 -- full-width ones count as well


def to_csv(rows: Iterable[Sequence[object]]) -> bytes:
    """Write RFC 4180's CSV: CRLF, every text quoted, UTF-8 with the mark that spreadsheets need.

    What `cell` does to texts keeps spreadsheets from running them.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    for row in rows:
        writer.writerow([cell(each) if isinstance(each, str) else each for each in row])
    return file.getvalue().encode("utf-8-sig")


def cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula.

    Those begin, after white space or not, with `=`, `+`, `-`, `@`, `|`, `%`, one of the full-width
    formats, or a tab or line break. A text that begins with an apostrophe gets one too: without the
    first apostrophe, where there is one, every text is what it was.

    References
    ----------
    OWASP, CSV Injection; CWE-1236.
    """
    begins = text.lstrip()[:1]
    risky = begins in _FORMULA or text[:1] in ("\t", "\r", "\n", "'")
    return f"'{text}" if begins and risky else text
