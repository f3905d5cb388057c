"""Sentences of a report read back: which message each is, and what stands in its gaps.

A report holds its reasons and claims as English sentences. Each is a message of the catalogue with
its gaps filled, `{images} images are too few: ...`, so that the message and what fills its gaps are
found again from the sentence alone, of reports of any age.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

SENTENCE: Final = "sentence"
PART: Final = "part of a sentence"

_GAP: Final = re.compile(r"\{(\w+)\}")
# What else fills a gap has no space in it: a number, a verdict, a file's digest.
_WIDE: Final = ("part", "sentence", "names", "text")


@dataclass(frozen=True)
class Message:
    """A sentence with gaps.

    A gap is called `part...` or `sentence` where it holds a message of its own, `names...` or
    `text...` where it holds words that stay as they are, and anything else where what it holds has
    no space.
    """

    text: str
    pattern: re.Pattern[str]

    def gaps(self, sentence: str) -> Mapping[str, str] | None:
        """What stands in the gaps of a sentence; None where it is another message."""
        found = self.pattern.fullmatch(sentence)
        return None if found is None else found.groupdict()


def read_messages(texts: Iterable[str]) -> tuple[Message, ...]:
    """Compile messages; those with more words of their own come first, as they fit more closely."""
    ordered = sorted(texts, key=lambda text: -len(_GAP.sub("", text)))
    return tuple(Message(text, _pattern(text)) for text in ordered)


def _pattern(text: str) -> re.Pattern[str]:
    pieces = _GAP.split(text)
    seen: set[str] = set()
    written = []
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            written.append(re.escape(piece))
        elif piece in seen:
            written.append(f"(?P={piece})")
        else:
            seen.add(piece)
            kind = ".+?" if piece.startswith(_WIDE) else r"\S+?"
            written.append(f"(?P<{piece}>{kind})")
    return re.compile("".join(written), re.DOTALL)
