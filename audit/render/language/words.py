"""Words of a report in a language."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, get_args

from audit.render.language.catalogue import Catalogue, load_catalogue
from audit.render.language.sentences import PART, SENTENCE, Message, read_messages

Language = Literal["en", "de"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

_UNNAMED: Final = re.compile(r"(^|, )label (\d+)")


class Words:
    """Says in one language what is written in English.

    Parameters
    ----------
    language
        What HTML calls it.
    catalogue
        Its translations; empty for English.
    """

    def __init__(self, language: Language, catalogue: Catalogue) -> None:
        self.language: Language = language
        self._catalogue = catalogue
        self._messages: Mapping[str, tuple[Message, ...]] = {
            kind: read_messages(text for context, text in catalogue if context == kind)
            for kind in (SENTENCE, PART)
        }

    def __call__(self, message: str, **gaps: object) -> str:
        """Say a message of the formats, `{images} images` for instance, with its gaps filled."""
        return self._catalogue.get(("", message), message).format(**gaps)

    def sentence(self, sentence: str) -> str:
        """Say a sentence of a report; one that the catalogue lacks stays English, and says so."""
        if self.language == "en":
            return sentence
        return self._read(sentence, SENTENCE) or self("(in English) {text}", text=sentence)

    def knows(self, sentence: str) -> bool:
        """Whether `sentence` does not leave it English."""
        return self.language == "en" or self._read(sentence, SENTENCE) is not None

    def _read(self, text: str, kind: str) -> str | None:
        for message in self._messages[kind]:
            gaps = message.gaps(text)
            if gaps is None:
                continue
            filled = {name: self._filled(name, value) for name, value in gaps.items()}
            if None not in filled.values():
                return self._catalogue[kind, message.text].format(**filled)
        return None

    def _filled(self, name: str, value: str) -> str | None:
        if name.startswith("part"):
            return self._read(value, PART)
        if name.startswith("sentence"):
            return self._read(value, SENTENCE)
        if name.startswith("names"):
            label = self("label {index}", index=r"\2")
            return _UNNAMED.sub(rf"\1{label}", value)
        return value


@lru_cache(maxsize=len(LANGUAGES))
def words_of(language: Language) -> Words:
    """The words of a language."""
    return Words(language, {} if language == "en" else load_catalogue(language))
