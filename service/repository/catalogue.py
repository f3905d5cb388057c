"""Which versions there are, which of them are served, and why others are not: one snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import ServiceError, UnavailableError
from service.repository.version import ServedModel

UNLOADED = "unloaded"
"""Why a version that did not fail is not served, in the protocol's word."""

LOADING = "loading"
"""Why one that is being loaded is not served yet."""


@dataclass(frozen=True)
class Unserved:
    """A version that is there and not served.

    Attributes
    ----------
    reason
        Why it failed to load; None if it was unloaded, or is being loaded.
    loading
        Whether it is being loaded.
    """

    name: str
    version: int
    reason: str | None
    loading: bool = False

    @property
    def why(self) -> str:
        """Why it is not served, in a list of what is."""
        return self.reason or (LOADING if self.loading else UNLOADED)

    @property
    def sentence(self) -> str:
        """Why it is not served, for whoever asks for it."""
        which = f"Version {self.version} of the model '{self.name}'"
        if self.reason is not None:
            return f"{which} failed to load: {self.reason}"
        if self.loading:
            return f"{which} is being loaded."
        return f"{which} was unloaded; /v2/repository/models/{self.name}/load loads it again."


Versions = Mapping[int, ServedModel | Unserved]


class Catalogue:
    """All versions of all models, and which of them answers when none is named.

    Attributes
    ----------
    models
        By name, then by version, both ascending; replaced as a whole.
    default
        Name of the model behind calls that name none.
    """

    def __init__(self, default: str) -> None:
        self.models: Mapping[str, Versions] = {}
        self.default = default
        self._latest: dict[str, int] = {}

    def find(self, name: str | None = None, version: int | None = None) -> ServedModel:
        """Return the version asked for; by default the highest that loaded, of the default model.

        Whoever awaits anything while using it writes `with repository.find(...) as model:`.

        Raises
        ------
        ServiceError (404)
            If there is no such model or version.
        UnavailableError
            If there is one and it failed to load or was unloaded.
        """
        if name is None:
            name = self.default
            if name not in self.models:
                raise UnavailableError(f"The default model '{name}' is no longer there.")
        versions = self.versions(name)
        if version is None:
            version = self._latest[name]
        if version not in versions:
            there = ", ".join(map(str, versions))
            raise ServiceError(
                404, f"The model '{name}' has no version {version}; the versions are {there}."
            )
        found = versions[version]
        if isinstance(found, Unserved):
            raise UnavailableError(found.sentence)
        return found

    def versions(self, name: str) -> Versions:
        """Return all versions of a model, served or not; raise ServiceError (404)."""
        if name not in self.models:
            there = ", ".join(self.models)
            raise ServiceError(404, f"There is no model '{name}'; the models are {there}.")
        return self.models[name]

    def served(self, name: str) -> list[int]:
        """Return the versions of a model that answer."""
        found = self.versions(name).items()
        return [version for version, model in found if isinstance(model, ServedModel)]

    def unserved(self, name: str) -> list[Unserved]:
        """Return the versions of a model that do not."""
        found = self.versions(name).values()
        return [version for version in found if isinstance(version, Unserved)]

    def publish(self, name: str, versions: Versions) -> None:
        """Replace what is known of a model; without versions it is no longer there."""
        models = {**self.models, name: dict(sorted(versions.items()))}
        self.models = {name: models[name] for name in sorted(models) if models[name]}
        self._latest = {
            name: max(self.served(name), default=max(found)) for name, found in self.models.items()
        }
