"""Audits with one part broken: whatever is audited, none of them gives a verdict."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from audit import Classifier
from benchmarks.verdicts.case import Case, digits, known
from imaging import GridSymmetry, resample

_ACT = "imaging.symmetries.GridSymmetry.__call__"


def broken(invariant: Classifier, upright: Classifier, quarters: Classifier) -> Iterator[Case]:
    """Yield the audits, each on a classifier of which it would say what is wrong.

    Parameters
    ----------
    invariant, upright, quarters
        Classifiers that are invariant, that tell up from down, and that are invariant at quarter
        turns only.
    """
    still = {_ACT: lambda self, array: array}
    alike: dict[str, object] = {
        f"audit.orbit.Orbit.{what}": property(_nothing) for what in _COMPARED
    }
    alike["audit.orbit.Orbit.deviation_of_variation"] = 0.0
    flat = {
        f"audit.angles.{module}.rotate_images": lambda images, *_: images for module in _ROTATING
    }
    for name, classify, angles, parts in (
        ("an audit that rotates nothing", upright, None, still),
        ("that makes rotated images brighter", invariant, None, {_ACT: _brighter}),
        ("that compares nothing", upright, None, alike),
        ("that rotates nothing at angles", quarters, 36, flat),
        ("that rotates by 0 degrees each time", quarters, 36, {_STEP: 0.0}),
        ("that rotates about another centre", invariant, 36, _off_centre()),
    ):
        under_test = known(classify)
        images = AuditSet(digits().images)
        yield Case(name, under_test, images, "INCONCLUSIVE", angles, patched=_with(parts))


_STEP = "audit.angles.answers.AnglePlan.step"
_COMPARED = ("label_changed", "logit_deviation", "probability_deviation")
_ROTATING = ("answers", "selftest")

_act = GridSymmetry.__call__


def _brighter(self: GridSymmetry, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.maximum(_act(self, array), np.uint8(0 if self == GridSymmetry(False, 0) else 128))


def _nothing(orbit: Any) -> NDArray[Any]:
    return np.zeros(orbit.logits.shape[:2], np.bool_)


def _off_centre() -> dict[str, Any]:
    """The centre n / 2 in place of (n - 1) / 2."""
    doubled, positions = resample.doubled_positions, resample._positions

    def moved(size: int) -> Any:
        x, y = doubled(size)
        return x - 1, y + 1

    def back(*arguments: Any) -> Any:
        x, y = positions(*arguments)
        return x + 0.5, y - 0.5

    return {
        "imaging.resample.doubled_positions": moved,
        "imaging.resample._positions": back,
        "imaging.resample._tables": resample._Tables(2**20),
    }


def _with(parts: dict[str, Any]) -> Callable[[], AbstractContextManager[object]]:
    def entered() -> AbstractContextManager[object]:
        stack = ExitStack()
        for name, part in parts.items():
            stack.enter_context(patch(name, part))
        return stack

    return entered
