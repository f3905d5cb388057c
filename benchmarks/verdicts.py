"""`python -m benchmarks.verdicts`: subjects whose verdict is known, and what an audit says.

Each is made to mislead an audit: invariant where it is tried in part only, right but for a class
that is rare, one answer for nearly all images, a set that is small and looks large. The status is 1
if a verdict is wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit import (
    AnglePlan,
    AuditSet,
    Classifier,
    ModelIdentity,
    Question,
    Subject,
    Thresholds,
    audit_tiers,
    load_audit_set,
)
from imaging import grid_symmetries

DIGITS: Final = Path("model_repository/rotmnist-c4/1/audit.npz")

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A subject with its images, and the verdict that is right; `error` where there is none."""

    name: str
    classify: Classifier
    images: AuditSet
    due: str
    angles: int | None = None


def cases() -> Iterator[Case]:
    """Yield the subjects, on the digits that come with `rotmnist-c4`."""
    images = load_audit_set(DIGITS).images
    ink = _ink(images)
    even = _levels(images, 4)
    yield Case("tells four amounts of ink apart", even, AuditSet(images), "PASS")
    yield Case("the same, at 36 angles", even, AuditSet(images), "PASS", 36)
    yield Case("tells up from down", _heavier_below, AuditSet(images), "FAIL")
    yield Case("invariant at quarter turns only", _upright_lines, AuditSet(images), "FAIL", 36)
    rare = ink >= np.sort(ink)[-8]
    yield Case("loses the rarest class", _but(even, ink[rare].min()), AuditSet(images), "FAIL")
    yield Case("one label for all", _levels(images, 1), AuditSet(images), "INCONCLUSIVE")
    yield Case("for all but one", _above(float(np.sort(ink)[-1])), AuditSet(images), "INCONCLUSIVE")
    yield Case("for all but two", _above(float(np.sort(ink)[-2])), AuditSet(images), "INCONCLUSIVE")
    two = AuditSet(np.repeat(images[:2], 256, axis=0))
    yield Case("two images, 256 times each", even, two, "INCONCLUSIVE")
    turns = np.concatenate([g(images[:128]) for g in grid_symmetries("C4")])
    yield Case("128 images in four turns each", even, AuditSet(turns), "INCONCLUSIVE")
    parts = AuditSet(images, groups=np.arange(512) // 8)
    yield Case("64 parts, eight images each", even, parts, "INCONCLUSIVE")
    yield Case("does not repeat itself", _noisy(even), AuditSet(images), "INCONCLUSIVE")
    yield Case("does not, and tells up from down", _noisy(_heavier_below), AuditSet(images), "FAIL")
    for label in (-1, 99):
        labels = np.full(512, label)
        yield Case(f"a label of {label}", even, AuditSet(images, labels), "error")


def verdict(case: Case) -> str:
    """Audit a subject; `error` if it is refused."""
    model = ModelIdentity(name="known", version=1, sha256="0" * 64, group="C4", precision="fp32")
    plan = None if case.angles is None else AnglePlan(case.angles)
    question = Question("C4", Thresholds(), plan, pictures=False)
    try:
        report = audit_tiers(Subject(model, case.classify), case.images, question, source="digits")
    except ValueError:
        return "error"
    return report.verdict


def main() -> None:
    """Print the table; status 1 if a verdict is wrong."""
    wrong = 0
    print("| subject | right | found |\n| --- | --- | --- |")
    for case in cases():
        found = verdict(case)
        wrong += found != case.due
        print(f"| {case.name} | {case.due} | {found}{'' if found == case.due else ' (WRONG)'} |")
    raise SystemExit(1 if wrong else 0)


def _ink(images: Images) -> NDArray[np.int64]:
    total: NDArray[np.int64] = images.sum(axis=(1, 2, 3), dtype=np.int64)
    return total


def _answers(labels: NDArray[np.int64], classes: int) -> Logits:
    return np.eye(max(classes, 2), dtype=np.float32)[labels]


def _levels(images: Images, classes: int) -> Classifier:
    """Classes by the amount of ink, as many images in each; bounds lie in the widest gaps near."""
    levels = np.sort(_ink(images))
    bounds = []
    for k in range(1, classes):
        near = levels[k * len(levels) // classes - 20 : k * len(levels) // classes + 20]
        gap = int(np.diff(near).argmax())
        bounds.append(near[gap : gap + 2].mean())
    return lambda asked: _answers(np.searchsorted(bounds, _ink(asked)), classes)


def _above(level: float) -> Classifier:
    return lambda asked: _answers((_ink(asked) >= level).astype(np.int64), 2)


def _heavier_below(asked: Images) -> Logits:
    half = asked.shape[2] // 2
    below = _ink(asked[:, :, -half:]) > _ink(asked[:, :, :half])
    return _answers(below.astype(np.int64), 2)


def _upright_lines(asked: Images) -> Logits:
    """Is there more ink along the axes than along the diagonals? No quarter turn changes that."""
    places = np.arange(asked.shape[2]) - (asked.shape[2] - 1) / 2
    x, y = np.meshgrid(places, places)
    waves = np.rint(1000 * np.cos(4 * np.arctan2(y, x)) * (np.hypot(x, y) < places[-1]))
    total = (asked.astype(np.int64) * waves.astype(np.int64)).sum(axis=(1, 2, 3))
    return _answers((total > 0).astype(np.int64), 2)


def _but(classify: Classifier, level: int) -> Classifier:
    """Give images of so much ink another class, and of these a turned one yet another."""

    def answer(asked: Images) -> Logits:
        labels = classify(asked).argmax(axis=1).astype(np.int64)
        rare = _ink(asked) >= level
        turned = _heavier_below(asked).argmax(axis=1) == 1
        return _answers(np.where(rare, np.where(turned, 4, 5), labels), 6)

    return answer


def _noisy(classify: Classifier) -> Classifier:
    random = np.random.default_rng(0)

    def answer(asked: Images) -> Logits:
        logits = classify(asked)
        return logits + random.normal(0, 0.4, logits.shape).astype(np.float32)

    return answer


if __name__ == "__main__":
    main()
