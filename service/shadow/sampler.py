"""Choosing a share of all images, each with the same probability, whatever it shows."""

from collections.abc import Sequence
from math import log, log1p
from random import Random

_FAR = 2.0**62  # no whole number is infinite


class Sampler:
    """Chooses among images that come in requests, without a random number for each.

    What is drawn is how many images there are up to the next one that is chosen, which is
    geometrically distributed: so the chosen ones are those of an independent trial for each.

    Parameters
    ----------
    share
        The probability of each image, above 0 and at most 1.
    random
        Source of randomness.
    """

    def __init__(self, share: float, random: Random) -> None:
        self._log_skipped = log1p(-share) if share < 1 else None
        self._random = random
        self._ahead = self._gap()

    def draw(self, count: int) -> Sequence[int]:
        """Return the indices of those that are chosen among the next so many images."""
        if self._ahead >= count:
            self._ahead -= count
            return ()
        chosen = []
        at = self._ahead
        while at < count:
            chosen.append(at)
            at += 1 + self._gap()
        self._ahead = at - count
        return chosen

    def _gap(self) -> int:
        """How many images are left out before the next one: floor(log U / log(1 - share))."""
        if self._log_skipped is None:
            return 0
        return int(min(log(1 - self._random.random()) / self._log_skipped, _FAR))
