"""Which version of the product this is."""

import importlib.metadata


def product_version() -> str:
    """Return the version that is installed; `unknown` where its files run without being."""
    try:
        return importlib.metadata.version("orbitserve")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
