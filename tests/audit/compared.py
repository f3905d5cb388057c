"""Reports whose images did what a test says, for comparisons of two."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from artifact.identity import ModelIdentity
from audit import Report, run_audit
from audit.comparison import Comparison, Margins, compare
from audit.report import Answers
from audit.statistics import deviations
from audit.thresholds import Thresholds
from tests.audit.conftest import linear

CLASSES = ("bolt", "nut", "washer")


@dataclass(frozen=True)
class Made:
    """What became of each image of a report."""

    labels: Sequence[int]
    kept: Sequence[bool]
    deviation: Sequence[float]
    expected: Sequence[int] | None = None
    units: Sequence[int] | None = None
    images: Sequence[int] = field(default=())
    files: Sequence[str] = ()
    classes: tuple[str, ...] = CLASSES
    sha256: str = "1" * 64

    @property
    def count(self) -> int:
        return len(self.labels)

    def report(self) -> Report:
        whole = _whole()
        units = self.units or range(self.count)
        numbers = self.images or range(self.count)
        digests = tuple(hashlib.sha256(str(n).encode()).hexdigest() for n in numbers)
        lost = {unit for unit, kept in zip(units, self.kept, strict=True) if not kept}
        agreeing, changed = len(set(units) - lost), sum(not kept for kept in self.kept)
        elements = (
            each.model_copy(update={"changed_labels": changed}) for each in whole.figures.elements
        )
        figures = whole.figures.model_copy(
            update={
                "images": len(set(units)),
                "agreeing_images": agreeing,
                "label_agreement": agreeing / len(set(units)),
                "largest_logit": 1.0,
                "elements": tuple(elements),
                "deviations": deviations(np.array(self.deviation), 1.0),
                "answers": Answers(
                    labels=tuple(self.labels),
                    expected=None if self.expected is None else tuple(self.expected),
                    kept=tuple(self.kept),
                    deviation=tuple(self.deviation),
                    units=tuple(units),
                ),
            }
        )
        data = whole.data.model_copy(
            update={"count": self.count, "image_sha256": digests, "files": tuple(self.files)}
        )
        model = whole.model.model_copy(update={"classes": self.classes, "sha256": self.sha256})
        return whole.model_copy(
            update={"figures": figures, "data": data, "model": model, "worst": ()}
        )

    def taken(self, order: Sequence[int]) -> "Made":
        """The same images in another order, or some of them."""
        whole = self.images or range(self.count)

        def some(values: Sequence[object] | None) -> list[object] | None:
            return [values[n] for n in order] if values else None

        return replace(
            self,
            labels=some(self.labels),
            kept=some(self.kept),
            deviation=some(self.deviation),
            expected=some(self.expected),
            units=some(self.units or range(self.count)),
            images=[whole[n] for n in order],
            files=some(self.files) or (),
        )


def still(count: int, **given: object) -> Made:
    """Images that all keep the label they should get."""
    labels = [n % len(CLASSES) for n in range(count)]
    basis = Made(labels, [True] * count, [1e-7] * count, expected=labels)
    return replace(basis, **given)


def losing(made: Made, *places: int, moved: float = 0.5) -> Made:
    """The same, but for images that lose their label when they are rotated."""
    lost = set(places)
    return replace(
        made,
        kept=[kept and n not in lost for n, kept in enumerate(made.kept)],
        deviation=[moved if n in lost else d for n, d in enumerate(made.deviation)],
        sha256="2" * 64,
    )


@st.composite
def drawn(draw: st.DrawFn, count: int) -> Made:
    """So many images, of which anything may have become."""

    def listed(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    return Made(
        labels=listed(st.integers(0, 2)),
        kept=listed(st.booleans()),
        deviation=listed(st.sampled_from((0.0, 1e-7, 0.01, 0.3))),
        expected=[n % 3 for n in range(count)],
        units=listed(st.integers(0, count - 1)),
    )


def compared(baseline: Made, candidate: Made, **margins: object) -> Comparison:
    return compare(baseline.report(), candidate.report(), Margins(**margins))


def _whole() -> Report:
    weights = np.random.default_rng(1).integers(-50, 51, (3, 1, 8, 8))
    images = np.random.default_rng(2).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    model = ModelIdentity(name="m", version=1, sha256="0" * 64, group="C4", precision="fp32")
    return run_audit(
        linear(weights),
        images,
        None,
        group="C4",
        thresholds=Thresholds(),
        model=model,
        source="here",
    )
