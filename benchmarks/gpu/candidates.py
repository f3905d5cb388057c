"""The files that are tried: all shipped models, float32 ones in half precision too."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from artifact.audit_set import load_audit_set
from artifact.card import Card, load_card
from artifact.layout import AUDIT_FILE, CARD_FILE, MODEL_FILE
from export.quantize import to_half
from service.engine import Signature
from service.repository.discovery import discover


@dataclass(frozen=True, eq=False)
class Candidate:
    """A file, its precision, and the images of its audit set, uint8 [N, C, H, W]."""

    name: str
    precision: str
    card: Card
    file: bytes
    images: NDArray[np.uint8]

    @property
    def signature(self) -> Signature:
        """What the graph takes and gives."""
        fitted = self.card.input
        fit = fitted.fit
        return Signature(fitted.channels, fit.size, len(self.card.classes), fit.width)


def candidates(repository: Path, names: list[str]) -> Iterator[Candidate]:
    """Yield the latest version of each model, or of those that are named.

    Raises
    ------
    ConfigurationError
        If the repository is no folder.
    KeyError
        If a name is not in it.
    """
    found = discover(repository).versions
    for name in names or found:
        folder = found[name][-1]
        card = load_card(folder / CARD_FILE)
        file = (folder / MODEL_FILE).read_bytes()
        images = load_audit_set(folder / AUDIT_FILE).images
        yield Candidate(name, card.precision, card, file, images)
        if card.precision == "fp32":
            half = to_half(onnx.load_from_string(file), {}).SerializeToString()
            yield Candidate(name, "fp16", card, half, images)
