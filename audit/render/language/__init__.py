"""The languages of a report for people; its JSON and what other programs read are English."""

from audit.render.language.words import LANGUAGES, Language, Words, words_of

__all__ = ["LANGUAGES", "Language", "Words", "words_of"]
