"""The service's models without its HTTP, for commands: find, open, sign and pack one."""

from collections.abc import Sequence
from pathlib import Path

from artifact.cpus import cpu_budget
from artifact.layout import SIGNATURE_FILE
from artifact.oci_base import BaseImage
from service.engine import DeviceUnavailableError, select
from service.repository.discovery import default_model, discover
from service.repository.folder import ModelRejectedError, check_files
from service.repository.packing import read_packed, write_packed
from service.repository.version import ServedModel, load_version
from service.settings import ConfigurationError, Settings
from service.signatures import open_verifier, sign


def open_model(name: str | None, settings: Settings) -> ServedModel:
    """Open the version of the settings' repository that `find_version` finds.

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
            apart=True,
        )
    except (DeviceUnavailableError, ModelRejectedError) as error:
        raise ConfigurationError(str(error)) from error


def find_version(name: str | None, settings: Settings) -> Path:
    """Return the folder of ``<name>/<version>``, or of the latest version of ``<name>``.

    Without a name, the model is the one that `default_model` names.

    Raises
    ------
    ConfigurationError
        If the settings' repository has no such version; it says what it has.
    """
    root = settings.repository
    found = discover(root)
    if name is None:
        name = default_model(found, settings)
    model, _, version = name.partition("/")
    if (reason := found.unread.get(root / model)) is not None:
        raise ConfigurationError(f"Of the folder {root / model}, {reason}.")
    if model not in found.versions:
        there = ", ".join(found.versions)
        raise ConfigurationError(
            f"The repository {root} has no model {name!r}; "
            + (f"the models are {there}." if there else "it holds none.")
        )
    versions = found.versions[model]
    chosen = [folder for folder in versions if version in ("", folder.name)]
    if not chosen:
        there = ", ".join(folder.name for folder in versions)
        raise ConfigurationError(
            f"The repository {root} has no version {version!r} of '{model}'; "
            f"the versions are {there}."
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
    folder, digests = _checked_version(name, settings)
    key = sign(folder, digests, private_key, certificate, chain)
    return folder / SIGNATURE_FILE, key


def pack_version(
    name: str, settings: Settings, output: Path, base: BaseImage | None = None
) -> tuple[Path, str]:
    """Check a version's files and write them as an image; return their folder, and its digest.

    Raises
    ------
    ConfigurationError
        If there is no such version, its files are not what its card says, or change meanwhile.
    SignatureError
        If the settings say whose signatures count, and it has none of these.
    RefusedError
        If the base is broken.
    """
    folder, digests = _checked_version(name, settings)
    try:
        files = read_packed(folder, digests)
    except ModelRejectedError as error:
        raise ConfigurationError(str(error)) from error
    if (verifier := open_verifier(settings)) is not None:
        verifier.verify_content(files.get(SIGNATURE_FILE), digests)
    return folder, write_packed(output, files, base)


def _checked_version(name: str, settings: Settings) -> tuple[Path, dict[str, str]]:
    folder = find_version(name, settings)
    try:
        return folder, check_files(folder)
    except ModelRejectedError as error:
        raise ConfigurationError(str(error)) from error
