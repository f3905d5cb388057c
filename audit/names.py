"""Names that others gave, to classes and files, as they stand among our own words.

A name can hold anything: line breaks, codes that move a terminal's cursor, letters that are written
from right to left, marks that turn the order of what follows. Whatever would act instead of being
read is replaced, and a name cannot reach beyond its place.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.phrases import Naming, label

LONGEST: Final = 40

_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_JOINERS: Final = "\u200c\u200d"  # some scripts, and emoji, are spelled with them
_RIGHT_TO_LEFT: Final = {"R", "AL", "AN"}
_ISOLATE: Final = ("\u2068", "\u2069")
_ACTS: Final = {"Cc", "Cf", "Cn", "Cs"}


def readable(name: str) -> str:
    """Return the name on one line, without a character that acts instead of being read.

    A name with letters that are written from right to left is isolated, as Unicode's annex 9 has
    it (section 2.4), so that it does not change the order of the words around it.
    """
    line = " ".join("".join(map(_seen, name)).split())
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in line):
        return line.join(_ISOLATE)
    return line


def harmless(text: str) -> str:
    """Return lines of text without the characters that act, but for those that `readable` sets."""
    kept = ("\n", *_ISOLATE)
    return "".join(each if each in kept else _seen(each) for each in text)


def shortened(name: str, longest: int = LONGEST) -> str:
    """Return the readable name, its middle left out where it is longer: files differ at the end."""
    if len(name) > longest:
        head = (longest - 1) // 3
        name = f"{name[:head]}…{name[len(name) - (longest - 1 - head) :]}"
    return readable(name)


@dataclass(frozen=True)
class Names:
    """Short names of things that are numbered, each different from the others.

    Attributes
    ----------
    short
        None where nobody said a name that can be read.
    """

    short: tuple[str | None, ...]

    @classmethod
    def of(cls, names: Sequence[str], longest: int = LONGEST) -> "Names":
        """Shorten names; those that are then the same have their numbers behind them."""
        short = [shortened(name, longest) or None for name in names]
        while again := {name for name, often in Counter(short).items() if name and often > 1}:
            short = [f"{name} ({n})" if name in again else name for n, name in enumerate(short)]
        return cls(tuple(short))

    def get(self, index: int) -> str | None:
        """The short name; None where nobody said it."""
        return self.short[index] if index < len(self.short) else None


def class_naming(classes: Sequence[str]) -> Naming:
    """Return what says a class's name in a sentence: in quotes, or `label 3` where it has none."""
    names = Names.of(classes)

    def name(index: int) -> str:
        short = names.get(index)
        return label(index) if short is None else f"“{short}”"

    return name


def _seen(character: str) -> str:
    if character.isspace():
        return " "
    if character in _JOINERS or unicodedata.category(character) not in _ACTS:
        return character
    return _REPLACED
