"""From the answers on the orbits to the figures of a report."""

import numpy as np
from numpy.typing import NDArray

from artifact.contract import decisions
from audit.counterexample import counterexample
from audit.labels import check_labels
from audit.moved import Moved
from audit.orbit import Orbit
from audit.report import (
    Accuracy,
    Answers,
    ElementFigures,
    Figures,
    NoiseFloor,
    Repeating,
    WorstImage,
)
from audit.statistics import (
    chance_agreement,
    class_cells,
    clopper_pearson,
    cluster_interval,
    deviations,
    label_entropy,
    ranks,
    shuffle_test,
)
from audit.thresholds import Thresholds
from audit.units import Units, single_units


def orbit_figures(
    orbit: Orbit,
    labels: NDArray[np.int64] | None,
    thresholds: Thresholds,
    units: Units | None = None,
    moved: NDArray[np.bool_] | None = None,
) -> Figures:
    """Agreement, deviations, entropy, classes and, given labels int64 [N], accuracy.

    Agreement is that of units; every image is one if none are given. Which images all elements
    change, bool [N], is reported only.

    Raises
    ------
    ValueError
        If a label is none of the classes.
    """
    confidence = thresholds.confidence
    check_labels(labels, orbit.logits.shape[-1])
    upright = orbit.labels[0]
    units = units or single_units(len(upright))
    agrees = units.all(np.asarray((~orbit.label_changed).all(axis=0)))
    agreeing, count = int(agrees.sum()), units.count
    asked = thresholds.class_agreement
    classes = upright if labels is None else labels
    kept_in_class = _kept_in_classes(orbit, classes, units, np.arange(len(classes)))
    deviation = float(orbit.logit_deviation.max())
    hidden = orbit.relative(deviation) <= thresholds.logit_tolerance < orbit.deviation_of_variation
    return Figures(
        images=count,
        agreeing_images=agreeing,
        label_agreement=agreeing / count,
        agreement_interval=clopper_pearson(agreeing, count, confidence),
        max_logit_deviation=deviation,
        relative_logit_deviation=orbit.relative(deviation),
        max_probability_deviation=float(orbit.probability_deviation.max()),
        largest_logit=orbit.largest_logit,
        label_entropy=label_entropy(upright),
        accuracy=None if labels is None else _accuracy(upright, labels, confidence, units),
        elements=tuple(_element_figures(orbit, i) for i in range(1, len(orbit.elements))),
        deviations=deviations(orbit.logit_deviation.max(axis=0), orbit.largest_logit),
        chance_agreement=chance_agreement(upright, units.weights),
        classes=class_cells(*kept_in_class, asked or thresholds.agreement, confidence),
        answers=Answers(
            labels=tuple(upright.tolist()),
            expected=None if labels is None else tuple(labels.tolist()),
            kept=tuple(np.asarray(~orbit.label_changed.any(axis=0)).tolist()),
            deviation=tuple(orbit.logit_deviation.max(axis=0).tolist()),
            units=tuple(units.of.tolist()),
            still=() if moved is None else tuple(np.flatnonzero(~moved).tolist()),
        ),
        deviation_of_variation=orbit.deviation_of_variation if hidden else None,
    )


def moved_units(
    orbit: Orbit, labels: NDArray[np.int64] | None, units: Units, moved: NDArray[np.bool_]
) -> Moved:
    """Count the units of images that all rotations change, bool [N], and which keep a label."""
    classes = orbit.labels[0] if labels is None else labels
    if not moved.any():
        return Moved(0, 0, {})
    kept = _kept_in_classes(orbit, classes, units, np.flatnonzero(moved))
    agrees = np.asarray((~orbit.label_changed).all(axis=0))
    return Moved.of(moved, agrees, units, kept, orbit.labels[0])


def _kept_in_classes(
    orbit: Orbit, classes: NDArray[np.int64], units: Units, images: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Say of each unit of each class, int64 [U] and bool [U], whether it keeps its label.

    Of units that have some of these images, with these alone.

    Of several labels, each is a class of the images that get it upright, and is kept where this
    one label is decided on alike.
    """
    kept = np.asarray((~orbit.label_changed).all(axis=0))[images]
    if orbit.multi_label:
        decided = decisions(orbit.logits[:, images], multi_label=True)
        places, classes = np.nonzero(decided[0])
        kept = np.asarray((decided == decided[0]).all(axis=0))[places, classes]
        images = images[places]
    else:
        classes = classes[images]
    if not len(images):
        return classes, kept
    shares = Units(units.of[images]).split(classes)
    return shares.first(classes), shares.all(kept)


def noise_floor(orbit: Orbit, confidence: float, units: Units | None = None) -> NoiseFloor:
    """How far the logits moved without a symmetry."""
    repeat, regrouped = orbit.repeat_deviation, orbit.regrouped_deviation
    elsewhere = orbit.elsewhere_deviation
    relative = orbit.relative(max(repeat, regrouped, elsewhere or 0.0))
    return NoiseFloor(
        repeat=repeat,
        regrouped=regrouped,
        elsewhere=elsewhere,
        relative=relative,
        repeating=_repeating(orbit, confidence, units or single_units(len(orbit.labels[0]))),
    )


def _repeating(orbit: Orbit, confidence: float, units: Units) -> Repeating | None:
    if orbit.repeats is None:
        return None
    batches = np.arange(len(units.of)) if orbit.batches is None else orbit.batches
    rotated, changed = orbit.logit_deviation[1:], orbit.label_changed[1:]
    again, changed_again = orbit.repeat_deviations, orbit.repeat_changed
    kept, count = int(units.all(np.asarray(~changed_again.any(axis=0))).sum()), units.count
    # By ranks within an image: one that moves far must not outweigh all others.
    places = ranks(np.concatenate([rotated, again]))
    return Repeating(
        agreeing_images=kept,
        agreement_interval=clopper_pearson(kept, count, confidence),
        exceeding_p=shuffle_test(places[: len(rotated)], places[len(rotated) :], batches),
        losing_p=shuffle_test(changed.astype(float), changed_again.astype(float), batches),
    )


def worst_images(
    orbit: Orbit, images: NDArray[np.uint8], limit: int, *, pictures: bool
) -> tuple[WorstImage, ...]:
    """The images that moved farthest, changed labels first, without those that did not move."""
    deviation = orbit.logit_deviation
    badness = deviation + orbit.label_changed * (1 + deviation.max())
    element = badness.argmax(axis=0)
    ranking = np.argsort(-badness.max(axis=0), kind="stable")[:limit]
    margin = _margin(orbit)
    return tuple(
        WorstImage(
            index=int(n),
            element=orbit.elements[element[n]].name,
            label=int(orbit.labels[0, n]),
            rotated_label=int(orbit.labels[element[n], n]),
            logit_deviation=float(deviation[element[n], n]),
            margin=float(margin[n]),
            counterexample=counterexample(
                images[n],
                orbit.elements[element[n]](images[n : n + 1])[0],
                orbit.logits[0, n],
                orbit.logits[element[n], n],
                pictures=pictures,
            ),
        )
        for n in ranking
        if badness[element[n], n] > 0
    )


def _margin(orbit: Orbit) -> NDArray[np.float64]:
    """How far the logits of upright images are from another label, float64 [N]."""
    upright = orbit.logits[0].astype(np.float64)
    if orbit.multi_label:
        return np.asarray(np.abs(upright).min(axis=-1))
    second, first = np.sort(upright, axis=-1)[:, -2:].T
    return np.asarray(first - second)


def _accuracy(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], confidence: float, units: Units
) -> Accuracy:
    right, count = predicted == labels, len(labels)
    correct = int(right.sum())
    interval = (
        clopper_pearson(correct, count, confidence)
        if units.count == count
        else cluster_interval(right, units.of, confidence)
    )
    return Accuracy(correct=correct, count=count, interval=interval)


def _element_figures(orbit: Orbit, index: int) -> ElementFigures:
    return ElementFigures(
        element=orbit.elements[index].name,
        changed_labels=int(orbit.label_changed[index].sum()),
        max_logit_deviation=float(orbit.logit_deviation[index].max()),
        max_probability_deviation=float(orbit.probability_deviation[index].max()),
    )
