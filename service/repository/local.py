"""The service's models without its HTTP, for commands: find, open and sign one."""

from collections.abc import Sequence
from pathlib import Path

from artifact.cpus import cpu_budget
from artifact.layout import SIGNATURE_FILE, version_folders
from service.engine import DeviceUnavailableError, select
from service.repository.folder import ModelRejectedError, check_files
from service.repository.version import ServedModel, load_version
from service.settings import ConfigurationError, Settings
from service.signatures import open_verifier, sign


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
        candidates = select(settings.device, settings.gpu)
        threads = settings.threads or cpu_budget()
        return load_version(
            folder,
            candidates,
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
    try:
        found = version_folders(settings.repository / model)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {settings.repository / model} cannot be read: {error.strerror}."
        ) from error
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
