"""An evaluation as CSV: one line a file, for spreadsheets and programs."""

import csv
import io
from typing import Final

from audit.evaluation import Evaluation

COLUMNS: Final = ("file", "expected", "predicted", "probability", "correct")

_FORMULA: Final = frozenset("=+-@|%＝＋－＠")  # noqa: RUF001 -- full-width ones count as well


def render_table(evaluation: Evaluation) -> bytes:
    """Write RFC 4180's CSV: CRLF, every text quoted, UTF-8 with the mark that spreadsheets need.

    `correct` is 1 or 0, so that its mean is the accuracy. Files that could not be read have an
    empty prediction. What `cell` does to texts keeps spreadsheets from running them.
    """
    name = evaluation.model.class_name
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for each in evaluation.answers:
        texts = (each.name, name(each.expected), name(each.answered))
        writer.writerow([*map(cell, texts), each.probability, int(each.right)])
    for left_out in evaluation.unread:
        writer.writerow([cell(left_out.name), cell(name(left_out.expected)), "", "", ""])
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
