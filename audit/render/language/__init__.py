"""The languages in which a report is read; its JSON is English, and no other form is translated."""

from audit.render.language.words import LANGUAGES, Language, Words, words_of

__all__ = ["LANGUAGES", "Language", "Words", "words_of"]
