"""Names as pictures can show them: in fonts that have their letters, or as numbers.

matplotlib draws letter by letter, without the joining and ordering that some scripts need, so that
names in those are numbers too. A number is explained by the table beside the picture.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LONGEST = 24
"""Letters of a name beyond which it is cut."""


@dataclass(frozen=True)
class Lettering:
    """Names as they are drawn.

    Attributes
    ----------
    names
        A short text for each.
    fonts
        Families that have all their letters between them, the first that has one is used.
    numbered
        Whether the texts are 1, 2, 3, ... instead.
    """

    names: tuple[str, ...]
    fonts: tuple[str, ...]
    numbered: bool

    @classmethod
    def of(cls, names: Sequence[str]) -> "Lettering":
        """Find fonts of this machine for ``names``, or number them."""
        shown = tuple(shortened(name) for name in names)
        fonts = fonts_for(shown)
        if fonts is None:
            return cls(tuple(str(i) for i in range(1, len(names) + 1)), (_usual(),), True)
        return cls(shown, fonts, False)


def shortened(name: str, longest: int = _LONGEST) -> str:
    """Return a name in one line and without signs that are not shown, cut in its middle."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    plain = unicodedata.normalize("NFC", plain)
    if len(plain) <= longest:
        return plain
    end = (longest - 1) // 2
    return f"{plain[: longest - 1 - end]}…{plain[-end:]}"


def fonts_for(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return the font families that have the letters of ``texts``; None if some are in none."""
    letters = set("".join(texts)) - {" "}
    if any(_needs_shaping(letter) for letter in letters):
        return None
    missing = {ord(letter) for letter in letters}
    chosen: list[str] = []
    for family, known in _fonts():
        if missing & known or not chosen:
            chosen.append(family)
            missing -= known
        if not missing:
            return tuple(chosen)
    return None


def _usual() -> str:
    from matplotlib import rcParams

    return str(rcParams["font.sans-serif"][0])


def _fonts() -> Iterator[tuple[str, set[int]]]:
    """Yield each upright font of this machine and its letters, matplotlib's own first."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager
    from matplotlib.ft2font import FT2Font

    usual = findfont(FontProperties(family=_usual()))
    yield _usual(), set(FT2Font(usual).get_charmap())
    for entry in fontManager.ttflist:
        upright = entry.style == "normal" and entry.weight == 400
        # The font of last resort has a box for every letter.
        if upright and entry.fname != usual and not entry.name.startswith("Last Resort"):
            try:
                yield entry.name, set(FT2Font(entry.fname).get_charmap())
            except (OSError, RuntimeError):  # a font that matplotlib does not read, as of pictures
                continue


def _needs_shaping(letter: str) -> bool:
    right_to_left = unicodedata.bidirectional(letter) in ("R", "AL")
    return right_to_left or unicodedata.category(letter) in ("Mn", "Mc", "Me")
