"""No text in a table is a formula, and each can be read back."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.tables import cell, to_csv


@given(st.text())
def test_a_cell_can_be_read_back_and_is_never_run(text: str) -> None:
    written = cell(text)
    assert written.removeprefix("'") == text
    first = unicodedata.normalize("NFKC", written.lstrip()[:1])
    assert first not in {*"=+-@"} | {"\t", "\r"}


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("=1+1", "'=1+1"),
        ("-r90.png", "'-r90.png"),
        ("@x", "'@x"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("\tx", "'\tx"),
        ("\uff1d1", "'\uff1d1"),  # full-width
        ("'x", "''x"),
        ("a=1", "a=1"),
        ("gut", "gut"),
        ("", ""),
        ("  ", "  "),
    ],
)
def test_what_gets_an_apostrophe(text: str, due: str) -> None:
    assert cell(text) == due


def test_a_table_guards_its_texts_and_not_its_numbers() -> None:
    assert to_csv([("=a", -1, 0.5), ("b",)]) == b'\xef\xbb\xbf"\'=a",-1,0.5\r\n"b"\r\n'
