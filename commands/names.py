"""Names and texts that come from anywhere, written so that they stay within their line."""

import re
from typing import Final

_DISTURBING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What ends a line to some reader, moves a terminal, or lets what follows be seen elsewhere."""

_ESCAPES: Final = re.compile(r"\\(n|r|t|x[0-9a-f]{2}|u[0-9a-f]{4})")
_SHORT: Final = {"\n": "n", "\r": "r", "\t": "t"}
_LONG: Final = {letter: character for character, letter in _SHORT.items()}


def written(path: str) -> str:
    r"""Write a path so that it can be held by any format, and different ones stay different.

    Bytes that are no UTF-8 become `\xff`, and a backslash `\\`.
    """
    from imaging.files import in_utf8  # not to list the commands

    return in_utf8(path.replace("\\", "\\\\"))


def on_one_line(text: str) -> str:
    r"""Write whatever could end a line, or be seen elsewhere in it, as `\n`, `\t` or `\u2028`."""
    return _DISTURBING.sub(_escape, text)


def from_one_line(text: str) -> str:
    r"""Read what `on_one_line` made of what `written` wrote; `\xff` and `\\` stay."""
    return "\\\\".join(_ESCAPES.sub(_unescape, part) for part in text.split("\\\\"))


def _escape(found: re.Match[str]) -> str:
    return "\\" + _SHORT.get(found[0], f"u{ord(found[0]):04x}")


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] == "u":
        return chr(int(code[1:], 16))
    return found[0] if code[0] == "x" else _LONG[code]
