"""A format that a document has: a report, a comparison or an evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from audit.render.language import Language

Document = TypeVar("Document")


@dataclass(frozen=True)
class Rendering(Generic[Document]):
    """What a format is called, and who writes it.

    Attributes
    ----------
    media_type
        What HTTP calls it.
    suffix
        What a file of it ends with.
    render
        Writes it in English, as UTF-8.
    translate
        Writes it in a language; None where programs read it.
    """

    media_type: str
    suffix: str
    render: Callable[[Document], bytes]
    translate: Callable[[Document, Language], bytes] | None = None

    def write(self, document: Document, language: Language = "en") -> bytes:
        """Write a document, in a language where the format is one that people read."""
        return self.translate(document, language) if self.translate else self.render(document)


def as_json(document: BaseModel) -> bytes:
    """Write all of a document, in the order of its fields."""
    return (document.model_dump_json(indent=2) + "\n").encode()
