"""From the answers on the orbits to the figures of a report."""

import numpy as np
from numpy.typing import NDArray

from audit.orbit import Orbit
from audit.report import Accuracy, ElementFigures, Figures, NoiseFloor, WorstImage
from audit.statistics import clopper_pearson, drift, label_entropy
from audit.witness import witness


def orbit_figures(orbit: Orbit, labels: NDArray[np.int64] | None, confidence: float) -> Figures:
    """Agreement, deviations, entropy and, given labels int64 [N], accuracy."""
    upright = orbit.labels[0]
    agreeing = int((~orbit.label_changed).all(axis=0).sum())
    deviation = float(orbit.logit_deviation.max())
    return Figures(
        images=len(upright),
        agreeing_images=agreeing,
        label_agreement=agreeing / len(upright),
        agreement_interval=clopper_pearson(agreeing, len(upright), confidence),
        max_logit_deviation=deviation,
        relative_logit_deviation=orbit.relative(deviation),
        max_probability_deviation=float(orbit.probability_deviation.max()),
        largest_logit=orbit.largest_logit,
        label_entropy=label_entropy(upright),
        accuracy=None if labels is None else _accuracy(upright, labels, confidence),
        elements=tuple(_element_figures(orbit, i) for i in range(1, len(orbit.elements))),
        drift=drift(orbit.logit_deviation.max(axis=0), orbit.largest_logit),
    )


def noise_floor(orbit: Orbit) -> NoiseFloor:
    """How far the logits moved without a symmetry."""
    repeat, regrouped = orbit.repeat_deviation, orbit.regrouped_deviation
    elsewhere = orbit.elsewhere_deviation
    relative = orbit.relative(max(repeat, regrouped, elsewhere or 0.0))
    return NoiseFloor(repeat=repeat, regrouped=regrouped, elsewhere=elsewhere, relative=relative)


def worst_images(
    orbit: Orbit, images: NDArray[np.uint8], limit: int, *, pictures: bool
) -> tuple[WorstImage, ...]:
    """The images that moved farthest, changed labels first, without those that did not move."""
    deviation = orbit.logit_deviation
    badness = deviation + orbit.label_changed * (1 + deviation.max())
    element = badness.argmax(axis=0)
    ranking = np.argsort(-badness.max(axis=0), kind="stable")[:limit]
    second, first = np.sort(orbit.logits[0], axis=-1)[:, -2:].astype(np.float64).T
    return tuple(
        WorstImage(
            index=int(n),
            element=orbit.elements[element[n]].name,
            label=int(orbit.labels[0, n]),
            turned_label=int(orbit.labels[element[n], n]),
            logit_deviation=float(deviation[element[n], n]),
            margin=float(first[n] - second[n]),
            witness=witness(
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


def _accuracy(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], confidence: float
) -> Accuracy:
    correct, count = int((predicted == labels).sum()), len(labels)
    interval = clopper_pearson(correct, count, confidence)
    return Accuracy(correct=correct, count=count, interval=interval)


def _element_figures(orbit: Orbit, index: int) -> ElementFigures:
    return ElementFigures(
        element=orbit.elements[index].name,
        changed_labels=int(orbit.label_changed[index].sum()),
        max_logit_deviation=float(orbit.logit_deviation[index].max()),
        max_probability_deviation=float(orbit.probability_deviation[index].max()),
    )
