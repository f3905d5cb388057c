"""The model repository: which versions are there, which are served, and why others are not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.engine import Selection, cpu_budget, select
from service.errors import NotFoundError, UnavailableError
from service.settings import ConfigurationError, Settings
from service.verification import Mode
from service.version import MODEL_FILE, ModelRejectedError, ServedModel, load_version

_VERSION = re.compile(r"[1-9][0-9]*")

log = structlog.get_logger()


@dataclass(frozen=True)
class FailedVersion:
    """A version that is there and not served."""

    name: str
    version: int
    reason: str


Versions = Mapping[int, ServedModel | FailedVersion]


class Repository:
    """All versions of all models, and which of them answers when none is named.

    Attributes
    ----------
    models
        By name, then by version, both ascending.
    default
        Name of the model behind calls that name none.
    """

    def __init__(self, models: Mapping[str, Versions], default: str) -> None:
        self.models = models
        self.default = default

    def find(self, name: str | None = None, version: int | None = None) -> ServedModel:
        """Return the version asked for; by default the highest that loaded, of the default model.

        Raises
        ------
        NotFoundError
            If there is no such model or version.
        UnavailableError
            If there is one and it failed to load.
        """
        name = self.default if name is None else name
        versions = self.versions(name)
        if version is None:
            version = max(self.served(name), default=max(versions))
        if version not in versions:
            there = ", ".join(map(str, versions))
            raise NotFoundError(
                f"The model '{name}' has no version {version}; the versions are {there}."
            )
        found = versions[version]
        if isinstance(found, FailedVersion):
            raise UnavailableError(
                f"Version {version} of the model '{name}' failed to load: {found.reason}"
            )
        return found

    def versions(self, name: str) -> Versions:
        """Return all versions of a model, also those that failed; raise NotFoundError."""
        if name not in self.models:
            there = ", ".join(self.models)
            raise NotFoundError(f"There is no model '{name}'; the models are {there}.")
        return self.models[name]

    def served(self, name: str) -> list[int]:
        """Return the versions of a model that loaded."""
        found = self.versions(name).items()
        return [version for version, model in found if isinstance(model, ServedModel)]

    def failed(self, name: str) -> list[FailedVersion]:
        """Return the versions of a model that did not."""
        found = self.versions(name).values()
        return [version for version in found if isinstance(version, FailedVersion)]

    def close(self) -> None:
        """End all sessions."""
        for versions in self.models.values():
            for model in versions.values():
                if isinstance(model, ServedModel):
                    model.session.close()


def open_repository(settings: Settings) -> Repository:
    """Load every version in the settings' repository.

    A version that is not what its card says is listed as failed and hinders no other.

    Raises
    ------
    ConfigurationError
        If there is no such folder, no model in it, or no default model of the name that is set.
    DeviceUnavailableError
        If the settings' device does not start.
    """
    folders = _discover(settings.repository)
    default = settings.default_model or min(folders)
    if default not in folders:
        raise ConfigurationError(
            f"The default model '{default}' is not in the repository {settings.repository}; "
            f"the models are {', '.join(folders)}."
        )
    selection = select(settings.device)
    if selection.note is not None:
        log.warning("device", note=selection.note)
    threads = settings.threads or cpu_budget()
    models = {
        name: {
            int(folder.name): _try(folder, selection, threads, settings.proof)
            for folder in versions
        }
        for name, versions in folders.items()
    }
    return Repository(models, default)


def _discover(root: Path) -> dict[str, list[Path]]:
    """Find the version folders, by name and number; those with other names are no versions.

    A version under construction has a name that is no integer until it is renamed as a whole.
    """
    if not root.is_dir():
        raise ConfigurationError(f"The repository {root} is not a folder.")
    found = {
        model.name: version_folders(model)
        for model in sorted(root.iterdir())
        if model.is_dir() and not model.name.startswith(".")
    }
    models = {name: versions for name, versions in found.items() if versions}
    if not models:
        raise ConfigurationError(
            f"The repository {root} holds no model; <name>/<version>/{MODEL_FILE} is looked for."
        )
    return models


def version_folders(model: Path) -> list[Path]:
    """Return the folders of a model's versions, ascending."""
    entries = model.iterdir() if model.is_dir() else ()
    versions = [entry for entry in entries if entry.is_dir() and _VERSION.fullmatch(entry.name)]
    return sorted(versions, key=lambda folder: int(folder.name))


def _try(
    folder: Path, selection: Selection, threads: int, mode: Mode
) -> ServedModel | FailedVersion:
    name, version = folder.parent.name, int(folder.name)
    try:
        model = load_version(folder, selection, threads, mode)
    except ModelRejectedError as error:
        log.error("model refused", model=name, version=version, reason=str(error))
        return FailedVersion(name, version, str(error))
    session = model.session
    log.info(
        "model loaded",
        model=name,
        version=version,
        device=session.placement.device,
        threads=session.threads,
        note=session.note,
    )
    for difference in model.verification.differences:
        log.warning("claim not shown", model=name, version=version, difference=difference)
    return model
