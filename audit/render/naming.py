"""What classes and images are called in the formats that people read."""

import re
from typing import Final

from audit.names import Names, readable
from audit.render.language import Words
from audit.report import Report

_NARROW: Final = 16
_ELEMENT: Final = re.compile(r"m|(m )?r(\d+)")


def what_is_said(name: str, words: Words) -> str:
    """The name of what somebody said of an audit, in words; that of a note is its own."""
    told = {
        "requirement": words("requirement"),
        "intended_use": words("intended use"),
        "auditor": words("auditor"),
        "rationale": words("why these thresholds"),
        "data.supplier": words("images supplied by"),
        "data.sampling": words("how images were chosen"),
        "data.licence": words("licence of the images"),
    }
    return told.get(name) or readable(name.removeprefix("notes."))


class Naming:
    """Says names in a language's words; a report of before there were names says numbers."""

    def __init__(self, report: Report, words: Words) -> None:
        self._words = words
        self._classes = Names.of(report.label_names)
        self._narrow = Names.of(report.label_names, _NARROW)
        self._images = Names.of(report.data.files)

    def label(self, index: int) -> str:
        """A class in a sentence: its name in quotes, or `label 3`."""
        short = self._classes.get(index)
        return self._words("label {index}", index=index) if short is None else f"“{short}”"

    def label_cell(self, index: int) -> str:
        """A class in a table."""
        short = self._classes.get(index)
        return self._words("label {index}", index=index) if short is None else short

    def label_narrow(self, index: int) -> str:
        """A class in a drawing, where there is little room."""
        return self._narrow.get(index) or self._words("label {index}", index=index)

    def image(self, index: int) -> str:
        """An image: the file it was read from, or `image 12`."""
        return self._images.get(index) or self._words("image {index}", index=index)

    def rotation(self, element: str) -> str:
        """An element of a group by what it does."""
        return turn_in_words(element, self._words)


def turn_in_words(element: str, words: Words) -> str:
    """An element of a group by what it does: `m r90` mirrors, then rotates by 90 degrees."""
    read = _ELEMENT.fullmatch(element)
    if read is None:
        return readable(element)
    mirrored, degrees = read.groups()
    if degrees is None:
        return words("mirrored")
    if mirrored:
        return words("mirrored, then rotated by {degrees}°", degrees=degrees)
    return words("rotated by {degrees}°", degrees=degrees)
