"""Models that are made to mislead an audit, each with the verdict that is right."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from artifact.contract import Images
from audit import Classifier
from benchmarks.coverage.noise import noisy, of_each
from benchmarks.verdicts.case import Case, digits, known
from imaging import GridSymmetry, grid_symmetries

Logits = NDArray[np.float32]


def models() -> Iterator[Case]:
    """Yield the models, on the digits that come with `rotmnist-c4`."""
    images = digits().images
    ink = _ink(images)
    even, whole = levels(4), AuditSet(images)
    yield Case("tells four amounts of ink apart", known(even), whole, "PASS")
    yield Case("the same, at 36 angles", known(even), whole, "PASS", 36)
    yield Case("tells up from down", known(heavier_below), whole, "FAIL")
    yield Case("invariant at quarter turns only", known(upright_lines), whole, "FAIL", 36)
    kept = AuditSet(_kept_by_half_a_turn(images))
    name = "tells up from down, on images that half a turn keeps"
    yield Case(name, known(_upright(even, 4)), kept, "INCONCLUSIVE")
    mixed, most = _but_for_the_most_even(kept.images, images, 32)
    far = _upright(even, 4, most)
    yield Case(f"{name} but for 32", known(far), AuditSet(mixed), "INCONCLUSIVE")
    rare = ink >= np.sort(ink)[-8]
    yield Case("loses the rarest class", known(_but(even, ink[rare].min())), whole, "FAIL")
    yield Case("one label for all", known(levels(1)), whole, "INCONCLUSIVE")
    yield Case("for all but one", known(_above(float(np.sort(ink)[-1]))), whole, "INCONCLUSIVE")
    yield Case("for all but two", known(_above(float(np.sort(ink)[-2]))), whole, "INCONCLUSIVE")
    for lost, due in ((1, "INCONCLUSIVE"), (8, "INCONCLUSIVE"), (20, "FAIL"), (51, "FAIL")):
        yield Case(f"loses the label of {lost} of 512", known(_losing(even, ink, lost)), whole, due)
    two = AuditSet(np.repeat(images[:2], 256, axis=0))
    yield Case("two images, 256 times each", known(even), two, "INCONCLUSIVE")
    copies = np.concatenate([g(images[:128]) for g in grid_symmetries("C4")])
    yield Case("128 images in four rotations each", known(even), AuditSet(copies), "INCONCLUSIVE")
    parts = AuditSet(images, groups=np.arange(512) // 8)
    yield Case("64 parts, eight images each", known(even), parts, "INCONCLUSIVE")
    unsteady, unsteady_and_upright = (
        noisy(model, of_each(0.4), np.random.default_rng(0)) for model in (even, heavier_below)
    )
    yield Case("does not repeat itself", known(unsteady), whole, "INCONCLUSIVE")
    yield Case("does not, and tells up from down", known(unsteady_and_upright), whole, "FAIL")
    for label in (-1, 99):
        labels = np.full(512, label)
        yield Case(f"a label of {label}", known(even), AuditSet(images, labels), "error")


def _ink(images: Images) -> NDArray[np.int64]:
    total: NDArray[np.int64] = images.sum(axis=(1, 2, 3), dtype=np.int64)
    return total


def _answers(labels: NDArray[np.int64], classes: int) -> Logits:
    return np.eye(max(classes, 2), dtype=np.float32)[labels]


def levels(classes: int) -> Classifier:
    """Classes by the amount of ink, as many images in each; bounds lie in the widest gaps near."""
    levels = np.sort(_ink(digits().images))
    bounds = []
    for k in range(1, classes):
        near = levels[k * len(levels) // classes - 20 : k * len(levels) // classes + 20]
        gap = int(np.diff(near).argmax())
        bounds.append(near[gap : gap + 2].mean())
    return lambda asked: _answers(np.searchsorted(bounds, _ink(asked)), classes)


def _above(level: float) -> Classifier:
    return lambda asked: _answers((_ink(asked) >= level).astype(np.int64), 2)


def heavier_below(asked: Images, by: int = 0) -> Logits:
    """Is there more ink below than above, by more than this?"""
    return _answers((_weight_below(asked) > by).astype(np.int64), 2)


def _weight_below(images: Images) -> NDArray[np.int64]:
    half = images.shape[2] // 2
    return _ink(images[:, :, -half:]) - _ink(images[:, :, :half])


def upright_lines(asked: Images) -> Logits:
    """Is there more ink along the axes than along the diagonals? No quarter turn changes that."""
    places = np.arange(asked.shape[2]) - (asked.shape[2] - 1) / 2
    x, y = np.meshgrid(places, places)
    waves = np.rint(1000 * np.cos(4 * np.arctan2(y, x)) * (np.hypot(x, y) < places[-1]))
    total = (asked.astype(np.int64) * waves.astype(np.int64)).sum(axis=(1, 2, 3))
    return _answers((total > 0).astype(np.int64), 2)


def _kept_by_half_a_turn(images: Images) -> Images:
    half = images // 2
    return half + GridSymmetry(False, 2)(half)


def _but_for_the_most_even(kept: Images, images: Images, count: int) -> tuple[Images, int]:
    """Put so many images in the place of their like that half a turn keeps.

    They are those with the least difference of ink below and above in all rotations, which is at
    most what is returned besides.
    """
    rotated = np.stack([_weight_below(g(images)) for g in grid_symmetries("C4")])
    uneven = np.abs(rotated).max(axis=0)
    chosen = np.argsort(uneven, kind="stable")[:count]
    mixed = kept.copy()
    mixed[chosen] = images[chosen]
    return mixed, int(uneven[chosen].max())


def _upright(classify: Classifier, classes: int, by: int = 0) -> Classifier:
    """Give images with more ink below than above, by more than this, classes of their own."""

    def answer(asked: Images) -> Logits:
        below = heavier_below(asked, by).argmax(axis=1)
        return _answers(classify(asked).argmax(axis=1) + classes * below, 2 * classes)

    return answer


def _but(classify: Classifier, level: int) -> Classifier:
    """Give images of so much ink another class, and of these a rotated one yet another."""

    def answer(asked: Images) -> Logits:
        labels = classify(asked).argmax(axis=1).astype(np.int64)
        rare = _ink(asked) >= level
        rotated = heavier_below(asked).argmax(axis=1) == 1
        return _answers(np.where(rare, np.where(rotated, 4, 5), labels), 6)

    return answer


def _losing(classify: Classifier, ink: NDArray[np.int64], lost: int) -> Classifier:
    """Lose the label of so many images when they are rotated, by next to nothing.

    They have all amounts of ink.
    """
    losers = np.sort(ink)[np.arange(lost) * len(ink) // lost]

    def answer(asked: Images) -> Logits:
        labels = classify(asked).argmax(axis=1).astype(np.int64)
        below = heavier_below(asked).argmax(axis=1).astype(np.int64)
        logits = _answers(labels, 4)
        told = np.flatnonzero(np.isin(_ink(asked), losers))
        logits[told, labels[told] ^ 1] = 1 + 1e-6 * (2 * below[told] - 1)
        return logits

    return answer
