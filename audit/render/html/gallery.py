"""The worst images, as the page shows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from artifact.contract import softmax
from audit.render.language import Words
from audit.render.naming import Naming
from audit.report import Report
from audit.witness import Witness

_LABELS: Final = 3


@dataclass(frozen=True)
class Exhibit:
    """One image upright and turned.

    Attributes
    ----------
    turn
        How it was turned, in words.
    label, turned_label
        What it was called.
    margin
        In logits, of the first label over the best other one, when turned.
    odds
        A label, its probability upright and its probability turned, the likeliest first.
    """

    index: int
    sha256: str
    turn: str
    label: int
    turned_label: int
    margin: float
    odds: tuple[tuple[int, float, float], ...]
    witness: Witness


def orbit_exhibits(report: Report, naming: Naming) -> Iterator[Exhibit]:
    """The worst images of the exact orbit."""
    for worst in report.worst:
        turn = naming.turn(worst.element)
        yield _exhibit(report, worst.index, turn, worst.label, worst.turned_label, worst.witness)


def angle_exhibits(report: Report, words: Words) -> Iterator[Exhibit]:
    """The worst images at the sampled angles."""
    if report.angles is None:
        return
    pairs = zip(report.angles.figures.worst, report.angles.witnesses, strict=False)
    for worst, seen in pairs:
        turn = words("turned by {degrees}°", degrees=f"{worst.degrees:.5g}")
        yield _exhibit(report, worst.index, turn, worst.label, worst.turned_label, seen)


def _exhibit(
    report: Report, index: int, turn: str, label: int, turned_label: int, seen: Witness
) -> Exhibit:
    logits = np.array([seen.upright_logits, seen.turned_logits], np.float32)
    upright, turned = softmax(logits)
    others = np.delete(logits[1].astype(np.float64), label)
    likeliest = np.argsort(-np.maximum(upright, turned), kind="stable")[:_LABELS]
    return Exhibit(
        index=index,
        sha256=report.data.image_sha256[index],
        turn=turn,
        label=label,
        turned_label=turned_label,
        margin=float(logits[1, label] - others.max()),
        odds=tuple((int(k), float(upright[k]), float(turned[k])) for k in likeliest),
        witness=seen,
    )
