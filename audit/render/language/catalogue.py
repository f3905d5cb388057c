"""Catalogues of translations: gettext's .po files, read as they are written."""

import ast
import re
from collections.abc import Mapping
from importlib.resources import files

_ENTRY = re.compile(
    r'^(?:msgctxt (?P<context>".*"(?:\n".*")*)\n)?'
    r'msgid (?P<message>".*"(?:\n".*")*)\n'
    r'msgstr (?P<translation>".*"(?:\n".*")*)$',
    re.MULTILINE,
)

Catalogue = Mapping[tuple[str, str], str]
"""From a context, empty where there is none, and an English message to its translation."""


def load_catalogue(language: str) -> Catalogue:
    """Read the catalogue of a language, without the entry that describes it.

    It is not compiled: a .mo file beside it would be a second copy, and reading takes milliseconds.
    """
    return parse_catalogue(files(__package__).joinpath(f"{language}.po").read_text("utf-8"))


def parse_catalogue(text: str) -> Catalogue:
    """Read the text of a .po file without plural forms; entries marked `#~` are passed over."""
    entries = {
        (_unquoted(entry["context"] or '""'), _unquoted(entry["message"])): _unquoted(
            entry["translation"]
        )
        for entry in _ENTRY.finditer(text)
    }
    return {key: translation for key, translation in entries.items() if key[1]}


def _unquoted(lines: str) -> str:
    return "".join(map(str, map(ast.literal_eval, lines.splitlines())))
