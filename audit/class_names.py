"""Which class a person means who writes its name: on a folder, in a table."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from imaging import RefusedError

_LISTED: Final = 5
_DIGITS: Final = 6


class ClassNames:
    """Finds classes by their names.

    A name is first looked for as it is written, then composed or decomposed (NFC, NFD), since file
    systems choose between the two, then without regard to case: what is found first counts where
    it leaves one class alone. Accents count: they tell words apart. Classes that nobody named are
    called by their numbers.

    Parameters
    ----------
    classes
        In the order of the logits; empty where nobody named them.

    References
    ----------
    The Unicode Standard, section 3.13, D145: canonical caseless matching.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._known = [(form, _by_name(map(form, classes))) for form in (str, _composed, _caseless)]

    def find(self, name: str) -> int | None:
        """The class that is meant; None if it is none, or might be several."""
        if not self._classes:
            return _number(name)
        meant = self._meant(name)
        return meant[0] if len(meant) == 1 else None

    def index(self, name: str, where: str) -> int:
        """The class that is meant; a ValueError that says `where` if it is none."""
        found = self.find(name)
        if found is None:
            what = "may be one of several classes" if self._meant(name) else "is no class"
            raise RefusedError(
                f"{where} has the label {name!r}, which {what} of the model: {self}."
            )
        return found

    def _meant(self, name: str) -> list[int]:
        for form, known in self._known:
            if found := known.get(form(name)):
                return found
        return []

    def __str__(self) -> str:
        if not self._classes:
            return "its classes have no names, and are called 0, 1, 2 and so on"
        return f"its classes are {listed(self._classes)}"


def listed(names: Sequence[str], limit: int = _LISTED) -> str:
    """Name some and count the rest."""
    more = [f"{len(names) - limit} more"] if len(names) > limit else []
    every = [*names[:limit], *more]
    return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)


def _by_name(names: Iterable[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _number(name: str) -> int | None:
    """Read a class's number as it is written without leading zeros."""
    if name.isascii() and name.isdigit() and len(name) <= _DIGITS and str(int(name)) == name:
        return int(name)
    return None
