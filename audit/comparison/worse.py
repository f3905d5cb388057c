"""The images that a candidate does worse on, with their pictures where these are at hand."""

import base64
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.comparison.matching import Matched
from audit.comparison.outcomes import Outcomes, Truth
from audit.comparison.record import Rotated, WorseImage
from audit.report import Report
from audit.report import WorstImage as Worst
from imaging import png

_FARTHEST: Final = 10
_PICTURES: Final = 24
_SHOWN_CHANNELS: Final = (1, 3)


def worse_images(
    reports: tuple[Report, Report],
    outcomes: tuple[Outcomes, Outcomes],
    truth: Truth,
    matched: Matched,
    images: NDArray[np.uint8] | None,
    *,
    pictures: bool,
) -> tuple[WorseImage, ...]:
    """List what became wrong, what lost its label, and what moved farther than before.

    Those that became wrong come first, then those that lost their label, each by how much farther
    their logits move; of those that merely move farther, ten. The first 24 have their pictures.
    """
    first, second = outcomes
    right, still = first.correct, second.correct
    wrong = right & ~still if right is not None and still is not None else np.zeros_like(first.kept)
    lost = first.kept & ~second.kept
    farther = second.deviation - first.deviation
    order = np.lexsort((-farther, ~lost, ~wrong))
    labelled = int((wrong | lost).sum())
    moved = [n for n in order[labelled:] if farther[n] > 0][:_FARTHEST]
    chosen = [*order[:labelled], *moved]
    seen = _worst_by_place(reports[0]), _worst_by_place(reports[1])

    def one(rank: int, n: int) -> WorseImage:
        here, there = int(matched.baseline[n]), int(matched.candidate[n])
        at_first, at_second = seen[0].get(here), seen[1].get(there)
        shown = pictures and rank < _PICTURES
        return WorseImage(
            index=here,
            name=_name(reports, here, there),
            sha256=reports[0].data.image_sha256[here],
            expected=truth.names[n] if truth.known else None,
            baseline_label=first.labels[n],
            candidate_label=second.labels[n],
            became_wrong=bool(wrong[n]),
            lost_label=bool(lost[n]),
            baseline_deviation=float(first.deviation[n]),
            candidate_deviation=float(second.deviation[n]),
            png=_picture(images, here, at_second or at_first) if shown else None,
            rotated=_rotated(at_second, reports, shown=shown),
        )

    return tuple(one(rank, int(n)) for rank, n in enumerate(chosen))


def _worst_by_place(report: Report) -> Mapping[int, Worst]:
    return {worst.index: worst for worst in report.worst}


def _name(reports: tuple[Report, Report], here: int, there: int) -> str:
    baseline, candidate = (report.data for report in reports)
    return (
        baseline.image_name(here)
        if baseline.files
        else (candidate.image_name(there) if candidate.files else baseline.image_name(here))
    )


def _picture(images: NDArray[np.uint8] | None, place: int, worst: Worst | None) -> str | None:
    if images is not None and images.shape[1] in _SHOWN_CHANNELS:
        return base64.b64encode(png(images[place])).decode()
    return None if worst is None else worst.counterexample.upright_png


def _rotated(worst: Worst | None, reports: tuple[Report, Report], *, shown: bool) -> Rotated | None:
    if worst is None:
        return None
    baseline, candidate = (report.model for report in reports)
    classes = candidate.classes or baseline.classes
    model = candidate.model_copy(update={"classes": classes})
    return Rotated(
        element=worst.element,
        label=model.class_name(worst.rotated_label),
        png=worst.counterexample.rotated_png if shown else None,
    )
