"""What shadow audits have found of one version since it was loaded."""

import time
from dataclasses import dataclass
from math import inf
from threading import Lock
from typing import Final, get_args

import numpy as np

from artifact.contract import decisions
from artifact.deviation import largest_logit, relative
from artifact.values import Interval
from audit import ConfidenceSequence
from service.engine import IdleDrop
from service.engine.queue import Floats


@dataclass(frozen=True)
class Comparison:
    """How far a rotated image's answer is from that to the upright one.

    Attributes
    ----------
    labels, rotated_labels
        Class indices: one, or all that a model of several labels gives.
    deviation
        Largest change of a logit, relative to the largest logit of both; infinite where one is not
        finite.
    margin
        Distance of the two largest logits of the upright image; of several labels, that of the
        nearest logit from 0.
    """

    labels: tuple[int, ...]
    rotated_labels: tuple[int, ...]
    deviation: float
    margin: float

    @property
    def agrees(self) -> bool:
        """Whether the labels are the same."""
        return self.labels == self.rotated_labels


def compare(upright: Floats, rotated: Floats, *, multi_label: bool = False) -> Comparison:
    """Compare logits [K] with logits [K], K at least 2, of which several may be labels."""
    a, b = upright.astype(np.float64), rotated.astype(np.float64)
    largest = largest_logit(a, b)
    labels, rotated_labels = (
        tuple(decisions(each, multi_label=multi_label).nonzero()[0].tolist()) for each in (a, b)
    )
    if not np.isfinite(largest):
        return Comparison(labels, rotated_labels, inf, 0.0)
    change = float(np.abs(a - b).max())
    second, first = np.partition(a, -2)[-2:]
    margin = np.abs(a).min() if multi_label else first - second
    return Comparison(labels, rotated_labels, relative(change, largest), float(margin))


REASONS: Final[tuple[IdleDrop, ...]] = get_args(IdleDrop)


class Tally:
    """Counts trials, on whichever thread; others read without a lock.

    Parameters
    ----------
    tolerance
        How far a logit may move, relative to the largest one.
    confidence
        Of the interval around the part of all trials that agree.

    Attributes
    ----------
    trials
        Images that were rotated and classified again.
    disagreements
        Those that got another label.
    deviations
        Those of which a logit moved by more than the tolerance.
    largest_deviation
        The largest change of a logit, relative to the largest logit.
    last_trial
        When the last trial was, in seconds since 1970; 0 if there was none.
    dropped
        Images that were chosen and not tried, by reason.
    unrecorded
        Findings that could not be logged or kept.
    """

    def __init__(self, tolerance: float, confidence: float) -> None:
        self.trials = self.disagreements = self.deviations = self.unrecorded = 0
        self.largest_deviation = self.last_trial = 0.0
        self.dropped: dict[IdleDrop, int] = dict.fromkeys(REASONS, 0)
        self._tolerance = tolerance
        self._sequence = ConfidenceSequence(confidence)
        self._counting, self._looking = Lock(), Lock()

    def tried(self, found: Comparison) -> bool:
        """Count a trial; return whether a logit moved too far.

        On a tie the label changes with logits that move by less than the tolerance.
        """
        moved = found.deviation > self._tolerance
        with self._counting:
            self.trials += 1
            self.disagreements += not found.agrees
            self.deviations += moved
            self.largest_deviation = max(self.largest_deviation, found.deviation)
            self.last_trial = time.time()
        return moved

    def drop(self, reason: IdleDrop) -> None:
        """Count an image that was chosen and is not tried."""
        with self._counting:
            self.dropped[reason] += 1

    def lose(self) -> None:
        """Count a finding that is not recorded."""
        with self._counting:
            self.unrecorded += 1

    def agreement(self) -> Interval:
        """Where the part of all trials that agree is, after those so far.

        The confidence sequence goes on when somebody looks: it holds whenever that is, and a trial
        costs no more than additions. `low` is above `high` once that part has changed.
        """
        with self._looking:
            with self._counting:
                trials, agreeing = self.trials, self.trials - self.disagreements
            known = self._sequence
            if trials > known.trials:
                self._sequence = known.update(agreeing - known.successes, trials - known.trials)
            return self._sequence.interval
