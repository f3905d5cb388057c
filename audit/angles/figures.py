"""From the answers at angles to figures."""

import numpy as np
from numpy.typing import NDArray

from artifact.deviation import largest_logit
from audit.angles.answers import AngleAnswers
from audit.angles.outcome import AngleFigures, AnglePoint, AngleThresholds, ClassCurve, WorstAngle
from audit.labels import check_labels
from audit.statistics import (
    agreement_band,
    chance_agreement,
    class_cells,
    clopper_pearson,
    deviations,
    label_entropy,
    mean_band,
)
from audit.units import Units, single_units


def angle_figures(
    answers: AngleAnswers,
    labels: NDArray[np.int64] | None,
    thresholds: AngleThresholds,
    units: Units | None = None,
) -> AngleFigures:
    """Agreement, deviation and margin by angle and by image, given the true labels int64 [N].

    Agreement is that of units; every image is one if none are given.

    Raises
    ------
    ValueError
        If a label is none of the classes.
    """
    check_labels(labels, answers.upright.shape[-1])
    confidence = thresholds.confidence
    units = units or single_units(len(answers.labels))
    images = units.count
    always = units.all(np.asarray(answers.agrees.all(axis=0)))
    control = units.all(np.asarray(answers.back_agrees.all(axis=0)))
    still = answers.damped_agrees
    damped = None if still is None else int(units.all(np.asarray(still.all(axis=0))).sum())
    whole = answers.whole.argmax(axis=-1)
    classes = answers.labels if labels is None else labels
    shares = units.split(classes)
    in_class = shares.first(classes)
    class_asked = thresholds.class_agreement or thresholds.agreement
    class_control = shares.all(np.asarray(answers.back_agrees.all(axis=0)))
    largest = largest_logit(answers.upright, answers.rotated)
    return AngleFigures(
        images=images,
        agreeing_images=int(always.sum()),
        agreement_interval=clopper_pearson(int(always.sum()), images, confidence),
        control_agreeing=int(control.sum()),
        control_interval=clopper_pearson(int(control.sum()), images, confidence),
        damped_agreeing=damped,
        damped_interval=None if damped is None else clopper_pearson(damped, images, confidence),
        rotated_only=int((~always & control).sum()),
        control_only=int((always & ~control).sum()),
        disc_changed=int((whole != answers.labels).sum()),
        accuracy=None if labels is None else float((answers.labels == labels).mean()),
        label_entropy=label_entropy(answers.labels),
        curve=_curve(answers, labels, confidence, units),
        worst=_worst(answers),
        classes=class_cells(
            in_class,
            shares.all(np.asarray(answers.agrees.all(axis=0))),
            class_asked,
            confidence,
            class_control,
        ),
        control_classes=class_cells(in_class, class_control, class_asked, confidence),
        class_curves=_class_curves(shares.all(answers.agrees), in_class),
        chance_agreement=chance_agreement(answers.labels, units.weights),
        largest_logit=largest,
        deviations=deviations(_deviation(answers.rotated, answers.upright).max(axis=0), largest),
        control_deviations=deviations(
            _deviation(answers.back, answers.upright).max(axis=0), largest
        ),
    )


def _curve(
    answers: AngleAnswers, labels: NDArray[np.int64] | None, confidence: float, units: Units
) -> tuple[AnglePoint, ...]:
    agrees = units.all(answers.agrees)
    bands = agreement_band(agrees, confidence)
    deviation = _deviation(answers.rotated, answers.upright)
    control = _deviation(answers.back, answers.upright).mean(axis=1)
    still, damped = answers.damped_agrees, None
    if answers.damped is not None:
        damped = _deviation(answers.damped, answers.upright).mean(axis=1)
    deviation = units.mean(deviation)
    low, high = mean_band(deviation, confidence)
    margins = np.median(_margins(answers.rotated, answers.labels), axis=1)
    predicted = answers.rotated.argmax(axis=-1)
    return tuple(
        AnglePoint(
            degrees=360 * a / len(bands),
            agreement=float(agrees[a].mean()),
            band=bands[a],
            control_agreement=float(answers.back_agrees[a].mean()),
            mean_deviation=float(deviation[a].mean()),
            deviation_low=float(low[a]),
            deviation_high=float(high[a]),
            control_deviation=float(control[a]),
            damped_agreement=None if still is None else float(still[a].mean()),
            damped_deviation=None if damped is None else float(damped[a]),
            median_margin=float(margins[a]),
            label_entropy=label_entropy(predicted[a]),
            accuracy=None if labels is None else float((predicted[a] == labels).mean()),
        )
        for a in range(len(bands))
    )


def _class_curves(agrees: NDArray[np.bool_], classes: NDArray[np.int64]) -> tuple[ClassCurve, ...]:
    return tuple(
        ClassCurve(
            label=int(label),
            images=int((classes == label).sum()),
            agreeing=tuple(map(int, agrees[:, classes == label].sum(axis=1))),
        )
        for label in np.unique(classes)
    )


def _worst(answers: AngleAnswers) -> tuple[WorstAngle, ...]:
    margins = _margins(answers.rotated, answers.labels)
    back = _margins(answers.back, answers.labels)
    angle, images = margins.argmin(axis=0), np.arange(len(answers.labels))
    least = margins[angle, images]
    return tuple(
        WorstAngle(
            index=int(n),
            degrees=float(answers.degrees[angle[n], n]),
            label=int(answers.labels[n]),
            rotated_label=int(answers.rotated[angle[n], n].argmax()),
            margin=float(least[n]),
            control_margin=float(back[angle[n], n]),
        )
        for n in np.argsort(least, kind="stable")
    )


def _deviation(logits: NDArray[np.float32], upright: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest change of a logit, float64 [A, N]."""
    deviation: NDArray[np.float64] = np.abs(logits.astype(np.float64) - upright).max(axis=-1)
    return deviation


def _margins(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far the label's logit is above the largest of the others, float64 [A, N]."""
    own = np.arange(logits.shape[-1]) == labels[:, None]
    exact = logits.astype(np.float64)
    others = np.where(own, -np.inf, exact).max(axis=-1)
    margins: NDArray[np.float64] = np.where(own, exact, -np.inf).max(axis=-1) - others
    return margins
