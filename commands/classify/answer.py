"""What is said of one file, and how names and reasons are kept within their line."""

import re
from typing import Final

import msgspec

_DISTURBING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What ends a line to some reader, moves a terminal, or lets what follows be seen elsewhere."""

_ESCAPES: Final = re.compile(r"\\(n|r|t|x[0-9a-f]{2}|u[0-9a-f]{4})")
_SHORT: Final = {"\n": "n", "\r": "r", "\t": "t"}
_LONG: Final = {letter: character for character, letter in _SHORT.items()}


class Model(msgspec.Struct, frozen=True):
    """Which file answers, as over HTTP."""

    name: str
    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}@{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "Model":
        """Read what `str` writes; ValueError if it is something else."""
        version, _, digest = text.partition("@")
        name, _, number = version.rpartition("/")
        return cls(name, int(number), digest)


class Ranked(msgspec.Struct, frozen=True):
    """A class and its probability."""

    label: str
    index: int
    probability: float


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model says of one file: its classes, most probable first; or why it says nothing.

    Attributes
    ----------
    file
        As `written` writes it.
    label, index, probability
        Of the first of `top`.
    """

    file: str
    label: str | None = None
    index: int | None = None
    probability: float | None = None
    top: tuple[Ranked, ...] = ()
    error: str | None = None
    model: Model = Model("", 0, "")


def ranked(file: str, top: tuple[Ranked, ...], model: Model) -> Answer:
    """Return what is said of a file that was classified."""
    first = top[0]
    return Answer(file, first.label, first.index, first.probability, top, None, model)


def written(path: str) -> str:
    r"""Write a path so that it can be held by any format, and different ones stay different.

    Bytes that are no UTF-8 become `\xff`, and a backslash `\\`.
    """
    text = path.replace("\\", "\\\\")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
