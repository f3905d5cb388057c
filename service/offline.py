"""The service's models without its HTTP, for commands: open one, read images from disk."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt

from audit import InputSpec, Progress
from imaging import IMAGE_SUFFIXES
from service.decoding import prepare
from service.discovery import version_folders
from service.engine import DeviceUnavailableError, cpu_budget, select
from service.errors import ServiceError
from service.folder import ModelRejectedError, check_files
from service.protocol import Part
from service.settings import ConfigurationError, Settings
from service.signatures import SIGNATURE_FILE, open_verifier, sign
from service.version import ServedModel, load_version


def open_model(name: str, settings: Settings) -> ServedModel:
    """Open ``<name>``, or ``<name>/<version>``, of the settings' repository.

    Raises
    ------
    ConfigurationError
        If the repository has no such version, it is not what its card says, it is not signed as
        the settings ask, or their device does not start.
    """
    folder, verifier = find_version(name, settings), open_verifier(settings)
    try:
        selection = select(settings.device, settings.gpu)
        threads = settings.threads or cpu_budget()
        return load_version(
            folder,
            selection,
            threads,
            settings.limits,
            settings.proof,
            verifier,
            proof_limits=settings.proof_limits,
        )
    except (DeviceUnavailableError, ModelRejectedError) as error:
        raise ConfigurationError(str(error)) from error


def find_version(name: str, settings: Settings) -> Path:
    """Return the folder of ``<name>/<version>``, or of the latest version of ``<name>``.

    Raises
    ------
    ConfigurationError
        If the settings' repository has no such version.
    """
    model, _, version = name.partition("/")
    found = version_folders(settings.repository / model)
    chosen = [folder for folder in found if version in ("", folder.name)]
    if not chosen:
        raise ConfigurationError(
            f"The repository {settings.repository} has no model {name!r}; "
            "<name> and <name>/<version> are accepted."
        )
    return chosen[-1]


def sign_version(
    name: str,
    settings: Settings,
    private_key: Path,
    certificate: Path | None = None,
    chain: Sequence[Path] = (),
) -> tuple[Path, str]:
    """Check a version's files and sign them; return where the signature is, and the key's digest.

    Raises
    ------
    ConfigurationError
        If there is no such version, its files are not what its card says, or the extra `signing`
        is not installed.
    SignatureError
        If the key or a certificate cannot be used.
    """
    folder = find_version(name, settings)
    try:
        digests = check_files(folder)
    except ModelRejectedError as error:
        raise ConfigurationError(str(error)) from error
    key = sign(folder, digests, private_key, certificate, chain)
    return folder / SIGNATURE_FILE, key


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
    paths: Sequence[Path],
    spec: InputSpec,
    max_pixels: int,
    progress: Progress = lambda done, total: None,
) -> npt.NDArray[np.uint8]:
    """Return the files' images as a model takes them: uint8 ``[N, C, size, size]``.

    One is decoded at a time and written to a temporary file without a name, which the array is
    mapped from: memory holds what is looked at, however many there are.

    Raises
    ------
    ConfigurationError
        If a request with these images would be refused, with the file's name; or if the temporary
        file does not fit on its disk.
    """
    shape = (len(paths), spec.channels, spec.fit.size, spec.fit.size)
    with TemporaryFile() as file:
        for done, path in enumerate(paths, start=1):
            (image,) = _read_image(path, spec, max_pixels)
            try:
                file.write(image.tobytes())
            except OSError as error:
                raise ConfigurationError(
                    f"The images do not fit into a temporary file: {error.strerror}; TMPDIR names "
                    "another folder for it."
                ) from error
            progress(done, len(paths))
        file.flush()
        # A copy on write, of which nothing is ever written.
        mapped = np.memmap(file, np.uint8, "c", shape=shape)
    return np.asarray(mapped)


def _read_image(path: Path, spec: InputSpec, max_pixels: int) -> npt.NDArray[np.uint8]:
    try:
        part = Part(path.read_bytes(), where=str(path))
    except OSError as error:
        raise ConfigurationError(f"The file {path} cannot be read: {error.strerror}.") from error
    try:
        return prepare([part], spec, max_pixels=max_pixels)
    except ServiceError as error:
        raise ConfigurationError(error.sentence) from error
