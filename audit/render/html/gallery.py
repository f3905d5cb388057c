"""The worst images, as the page shows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.contract import probabilities_of
from audit.counterexample import Counterexample
from audit.render.language import Words
from audit.render.naming import Naming
from audit.report import Report

_LABELS: Final = 3


@dataclass(frozen=True)
class Exhibit:
    """One image upright and rotated.

    Attributes
    ----------
    rotation
        How it was rotated, in words.
    label, rotated_label
        What it was called.
    margin
        In logits, of the first label over the best other one, when rotated.
    odds
        A label, its probability upright and its probability rotated, the likeliest first.
    """

    index: int
    sha256: str
    rotation: str
    label: int
    rotated_label: int
    margin: float
    odds: tuple[tuple[int, float, float], ...]
    counterexample: Counterexample


def orbit_exhibits(report: Report, naming: Naming) -> Iterator[Exhibit]:
    """The worst images of the exact orbit."""
    for worst in report.worst:
        rotation = naming.rotation(worst.element)
        yield _exhibit(
            report, worst.index, rotation, worst.label, worst.rotated_label, worst.counterexample
        )


def angle_exhibits(report: Report, words: Words) -> Iterator[Exhibit]:
    """The worst images at the sampled angles."""
    if report.angles is None:
        return
    pairs = zip(report.angles.figures.worst, report.angles.counterexamples, strict=False)
    for worst, seen in pairs:
        rotation = words("rotated by {degrees}°", degrees=f"{worst.degrees:.5g}")
        yield _exhibit(report, worst.index, rotation, worst.label, worst.rotated_label, seen)


def _exhibit(
    report: Report, index: int, rotation: str, label: int, rotated_label: int, seen: Counterexample
) -> Exhibit:
    logits = np.array([seen.upright_logits, seen.rotated_logits], np.float32)
    upright, rotated = probabilities_of(logits, multi_label=report.model.multi_label)
    likeliest = np.argsort(-np.maximum(upright, rotated), kind="stable")[:_LABELS]
    return Exhibit(
        index=index,
        sha256=report.data.image_sha256[index],
        rotation=rotation,
        label=label,
        rotated_label=rotated_label,
        margin=_margin(report, logits.astype(np.float64), label),
        odds=tuple((int(k), float(upright[k]), float(rotated[k])) for k in likeliest),
        counterexample=seen,
    )


def _margin(report: Report, logits: NDArray[np.float64], label: int) -> float:
    """How far the rotated image is from losing the label it gets upright; negative if it does."""
    upright, rotated = logits
    if report.model.multi_label:
        return float(np.where(upright > 0, rotated, -rotated).min())
    return float(rotated[label] - np.delete(rotated, label).max())
