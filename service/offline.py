"""The service's models without its HTTP, for commands: open one, read images from disk."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imaging import IMAGE_SUFFIXES
from service.engine import DeviceUnavailableError, cpu_budget, select
from service.errors import ServiceError
from service.protocol import Part, prepare
from service.repository import version_folders
from service.settings import ConfigurationError, Settings
from service.version import ModelRejectedError, ServedModel, load_version


def open_model(name: str, settings: Settings) -> ServedModel:
    """Open ``<name>``, or ``<name>/<version>``, of the settings' repository.

    Raises
    ------
    ConfigurationError
        If the repository has no such version, it is not what its card says, or the settings'
        device does not start.
    """
    model, _, version = name.partition("/")
    found = version_folders(settings.repository / model)
    chosen = [folder for folder in found if version in ("", folder.name)]
    if not chosen:
        raise ConfigurationError(
            f"The repository {settings.repository} has no model {name!r}; "
            "<name> and <name>/<version> are accepted."
        )
    try:
        selection = select(settings.device)
        threads = settings.threads or cpu_budget()
        return load_version(chosen[-1], selection, threads, settings.proof)
    except (DeviceUnavailableError, ModelRejectedError) as error:
        raise ConfigurationError(str(error)) from error


def find_images(places: Sequence[Path]) -> list[Path]:
    """Return the named files, and the image files below the named folders, in a fixed order.

    Raises
    ------
    ConfigurationError
        If a place does not exist, or there is no image anywhere.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            below = sorted(place.rglob("*"))
            found += [path for path in below if path.suffix.lower() in IMAGE_SUFFIXES]
        elif place.exists():
            found.append(place)
        else:
            raise ConfigurationError(f"There is no {place}.")
    if not found:
        named = ", ".join(map(str, places))
        raise ConfigurationError(
            f"There are no images in {named}; accepted are files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    return found


def read_images(
    paths: Sequence[Path], model: ServedModel, settings: Settings
) -> npt.NDArray[np.uint8]:
    """Return the files' images as the model takes them: uint8 ``[N, C, size, size]``.

    Raises
    ------
    ConfigurationError
        If a request with these images would be refused; the message names the file.
    """
    parts = [Part(path.read_bytes(), where=str(path)) for path in paths]
    spec, limit = model.card.input, settings.max_pixels
    try:
        return prepare(parts, spec, max_images=len(parts), max_pixels=limit)
    except ServiceError as error:
        raise ConfigurationError(error.sentence) from error
