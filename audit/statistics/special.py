"""SciPy's special functions, imported when the first is called: a tenth of a service's start."""

from typing import Any


def __getattr__(name: str) -> Any:
    from scipy import special

    return getattr(special, name)
