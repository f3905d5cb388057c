"""What lies in a model repository: version folders, and whether their files were touched."""

import re
from pathlib import Path

from service.settings import ConfigurationError
from service.version import AUDIT_FILE, CARD_FILE, MODEL_FILE

_VERSION = re.compile(r"[1-9][0-9]*")

Fingerprint = tuple[tuple[int, ...] | None, ...]
"""Of each of a version's files the inode, size and times; None for one that is not there."""


def discover(root: Path) -> dict[str, list[Path]]:
    """Find the version folders, by name and number; those with other names are no versions.

    A version under construction has a name that is no integer until it is renamed as a whole.

    Raises
    ------
    ConfigurationError
        If the repository is no folder.
    """
    if not root.is_dir():
        raise ConfigurationError(f"The repository {root} is not a folder.")
    found = {
        model.name: version_folders(model)
        for model in sorted(root.iterdir())
        if not model.name.startswith(".")
    }
    return {name: versions for name, versions in found.items() if versions}


def version_folders(model: Path) -> list[Path]:
    """Return the folders of a model's versions, ascending."""
    entries = model.iterdir() if model.is_dir() else ()
    versions = [entry for entry in entries if _VERSION.fullmatch(entry.name) and entry.is_dir()]
    return sorted(versions, key=lambda folder: int(folder.name))


def fingerprint(folder: Path) -> Fingerprint:
    """Look at a version's files without reading them: equal where nobody touched them between."""
    return tuple(_touched(folder / name) for name in (MODEL_FILE, CARD_FILE, AUDIT_FILE))


def _touched(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
