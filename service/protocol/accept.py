"""Headers that say what a client accepts, and how gladly (RFC 9110, 12.4.2)."""

from collections.abc import Sequence


def read_weights(header: str) -> dict[str, float]:
    """Read `Accept`, `Accept-Language` or `Accept-Encoding`: what is named, each with its quality.

    A quality that is no number is 0, and one outside of 0 to 1 the nearer of these.
    """
    weights: dict[str, float] = {}
    for element in header.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        if name:
            weights[name] = _weight(parameters)
    return weights


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
