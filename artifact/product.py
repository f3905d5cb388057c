"""This product as it is installed: its version, and what to type for what it lacks."""

import importlib.metadata
import re
import shlex
import sys
from collections.abc import Iterator
from typing import Final

_PRODUCT: Final = "orbitserve"
_DISTRIBUTIONS: Final = {
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "multipart": "python-multipart",
    "yaml": "pyyaml",
}
"""Of modules that are called otherwise."""

_NAME: Final = re.compile(r"[\w.-]+")
_EXTRA: Final = re.compile(r"""extra == ["']([\w-]+)["']""")


def product_version() -> str:
    """Return the version that is installed; `unknown` where its files run without being."""
    try:
        return importlib.metadata.version(_PRODUCT)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def bringing_extra(extra: str) -> str:
    """Say what to type to install what an extra of the product needs.

    The packages are named, as the product declares them, and not the product: that works wherever
    it was installed from, be it a clone, a wheel or an index.
    """
    needs = [need for need, of in _declared() if of == extra]
    return _typed(needs) if needs else f"the extra {extra!r} of {_PRODUCT} brings it"


def bringing_module(module: str) -> str:
    """Say what to type to install what a module is imported from, and the rest of its extra."""
    top = module.partition(".")[0]
    wanted = _normal(_DISTRIBUTIONS.get(top, top))
    for need, extra in _declared():
        if _normal(_name(need)) == wanted:
            return bringing_extra(extra) if extra else _typed([need])
    return _typed([wanted])


def _declared() -> Iterator[tuple[str, str | None]]:
    """Yield what the product needs, and of which extra each is."""
    try:
        found = importlib.metadata.requires(_PRODUCT) or []
    except importlib.metadata.PackageNotFoundError:
        found = []
    for line in found:
        need, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        if _name(need) != _PRODUCT:
            yield need.strip(), extra[1] if extra else None


def _typed(needs: list[str]) -> str:
    return f"`{shlex.join([sys.executable, '-m', 'pip', 'install', *needs])}` brings it"


def _name(need: str) -> str:
    found = _NAME.match(need)
    return found[0] if found else ""


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()
