"""What lies in a model repository: version folders, and whether their files were touched."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifact.layout import (
    CONTROL,
    MODEL_FILE,
    VERSION_FILES,
    version_folders,
)
from service.settings import ConfigurationError, Settings

Fingerprint = tuple[tuple[int, ...] | None, ...]
"""Of each of a version's files the inode, size and times; None for one that is not there."""

_OTHERWISE: Final = (
    "--repository or ORBITSERVE_REPOSITORY names the folder of models, and `orbitserve import` and "
    "`orbitserve export` put some into one"
)


@dataclass(frozen=True)
class Found:
    """What lies in a repository.

    Attributes
    ----------
    versions
        Version folders by the name of their model, ascending.
    unread
        Folders that are left alone because they cannot be read, or asked for, and why.
    """

    versions: dict[str, list[Path]]
    unread: dict[Path, str]


def discover(root: Path) -> Found:
    """Find the version folders, by name and number; those with other names are no versions.

    A version under construction has a name that is no integer until it is renamed as a whole. A
    model's folder that cannot be read, such as the `lost+found` of a volume, hinders no other.

    Raises
    ------
    ConfigurationError
        If the repository is no folder, or cannot be read.
    """
    try:
        if not root.is_dir():
            raise ConfigurationError(f"There is no folder {root.absolute()}; {_OTHERWISE}.")
        models = sorted(root.iterdir())
    except OSError as error:
        raise ConfigurationError(
            f"The repository {root} cannot be read: {error.strerror}."
        ) from error
    found = Found({}, {})
    for model in models:
        if model.name.startswith("."):
            continue
        if CONTROL.search(model.name):
            found.unread[model] = "its name has a control character, and no path may have one"
            continue
        try:
            model.name.encode()
            versions = version_folders(model)
        except OSError as error:
            found.unread[model] = f"it cannot be read: {error.strerror}"
        except UnicodeEncodeError:
            found.unread[model] = "its name is not UTF-8"
        else:
            if versions:
                found.versions[model.name] = versions
    return found


def default_model(found: Found, settings: Settings) -> str:
    """Name the model that is meant where none is named: the one that is set, else the first.

    Raises
    ------
    ConfigurationError
        If the one that is set is not there, or none is.
    """
    root, models = settings.repository, found.versions
    if not models:
        raise ConfigurationError(
            f"The repository {root} holds no model, <name>/<version>/{MODEL_FILE}; {_OTHERWISE}."
        )
    default = settings.default_model or min(models)
    if default not in models:
        raise ConfigurationError(
            f"The default model '{default}' is not in the repository {root}; "
            f"the models are {', '.join(models)}."
        )
    return default


def fingerprint(folder: Path) -> Fingerprint:
    """Look at a version's files without reading them: equal where nobody touched them between."""
    return tuple(_touched(folder / name) for name in VERSION_FILES)


def _touched(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
