"""Intervals of a proportion that hold at all times at once, for audits that go on or come again."""

from dataclasses import dataclass, field, replace
from math import log
from typing import Self

from artifact.values import Interval
from audit.statistics import special


@dataclass(frozen=True)
class ConfidenceSequence:
    """What is known of a proportion after the trials so far, whenever one looks and stops.

    With a probability of at least `confidence` the true proportion lies in the interval after every
    update, for ever, also if somebody looks after each and stops when pleased. A Clopper-Pearson
    interval, which speaks of one number of trials that was fixed before, does not do that.

    For the true p, M_t(p) = B(s + 1/2, f + 1/2) / (B(1/2, 1/2) p^s (1 - p)^f), the likelihood of s
    successes and f failures averaged over a Beta(1/2, 1/2) mixture and divided by that of p, is a
    nonnegative martingale that starts at 1, and so exceeds 1 / (1 - confidence) with a probability
    of at most 1 - confidence (Ville's inequality). The interval is where it never did.

    References
    ----------
    J. Ville, Étude critique de la notion de collectif (1939); H. Robbins, Annals of Mathematical
    Statistics 41 (1970) 1397, for mixtures of likelihood ratios; S. R. Howard, A. Ramdas,
    J. McAuliffe and J. Sekhon, Annals of Statistics 49 (2021) 1055, section 3, for conjugate ones,
    of which this is the beta-binomial.

    Attributes
    ----------
    interval
        Empty, with `low` above `high`, if the trials contradict any one proportion: it changed.
    """

    confidence: float = 0.95
    successes: int = 0
    trials: int = 0
    interval: Interval = field(default=Interval(0.0, 1.0))

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"The confidence is {self.confidence}; between 0 and 1 is accepted.")

    def update(self, successes: int, trials: int) -> Self:
        """Add trials: what is known after them, and after all that came before.

        Raises
        ------
        ValueError
            If there are more successes than trials.
        """
        if not 0 <= successes <= trials:
            raise ValueError(
                f"There are {successes} successes in {trials} trials; 0 to N successes in N trials "
                "are accepted."
            )
        s, n = self.successes + successes, self.trials + trials
        now = _current(s, n - s, self.confidence)
        both = Interval(max(self.interval.low, now.low), min(self.interval.high, now.high))
        return replace(self, successes=s, trials=n, interval=both)


def _current(s: int, f: int, confidence: float) -> Interval:
    """Where M_t(p) < 1 / (1 - confidence): an interval around s / (s + f), as log M_t is convex."""
    return Interval(_low_end(s, f, confidence), 1 - _low_end(f, s, confidence))


def _low_end(s: int, f: int, confidence: float) -> float:
    if s == 0:
        return 0.0
    evidence = float(special.betaln(s + 0.5, f + 0.5) - special.betaln(0.5, 0.5)) + log(
        1 - confidence
    )

    def excess(p: float) -> float:
        return evidence - float(special.xlogy(s, p) + special.xlog1py(f, -p))

    from scipy.optimize import brentq  # a tenth of a second of a service's start, for later

    # At the observed rate M_t is below 1; towards 0 it grows without bound.
    return float(brentq(excess, 1e-300, s / (s + f), xtol=1e-15))
