"""A histogram that costs its writer a search of a short tuple."""

from bisect import bisect_left
from itertools import accumulate


class Histogram:
    """Observations, counted between fixed bounds.

    One thread writes. Others read without a lock, and see each observation counted or not.

    Parameters
    ----------
    bounds
        Upper bounds, inclusive and ascending; what is larger is counted behind the last.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, so many times."""
        self._counts[bisect_left(self.bounds, value)] += times
        self.sum += times * value

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    @property
    def buckets(self) -> list[tuple[str, int]]:
        """The observations up to each bound, and all, as Prometheus writes them."""
        names = (*map(str, self.bounds), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True))
