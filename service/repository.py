"""The model repository: which versions are there, which are served, and why others are not.

What is served is one snapshot, replaced as a whole on the event loop; folders are read and graphs
opened on a thread. So a request sees the models before a change or after it, never between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import structlog

from service.discovery import Fingerprint, discover, fingerprint, version_folders
from service.engine import cpu_budget, select
from service.errors import NotFoundError, UnavailableError, UnprocessableError
from service.folder import MODEL_FILE, ModelRejectedError
from service.observability.statistics import Loads
from service.settings import ConfigurationError, Settings
from service.shadow import open_shadow
from service.signatures import open_verifier
from service.version import ServedModel, load_version

UNLOADED = "unloaded"
"""Why a version that did not fail is not served, in the protocol's word."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = structlog.get_logger()


@dataclass(frozen=True)
class Unserved:
    """A version that is there and not served.

    Attributes
    ----------
    reason
        Why it failed to load; None if it was unloaded.
    """

    name: str
    version: int
    reason: str | None

    @property
    def sentence(self) -> str:
        """Why it is not served, for whoever asks for it."""
        which = f"Version {self.version} of the model '{self.name}'"
        if self.reason is not None:
            return f"{which} failed to load: {self.reason}"
        return f"{which} was unloaded; /v2/repository/models/{self.name}/load loads it again."


Versions = Mapping[int, ServedModel | Unserved]


class Repository:
    """All versions of all models, and which of them answers when none is named.

    Its methods are called on the event loop.

    Attributes
    ----------
    models
        By name, then by version, both ascending.
    default
        Name of the model behind calls that name none.
    loads
        How often versions were loaded, by name and version.
    """

    def __init__(self, root: Path, default: str, load: Callable[[Path], ServedModel]) -> None:
        self.models: Mapping[str, Versions] = {}
        self._latest: dict[str, int] = {}
        self.default = default
        self._root = root
        self._load = load
        self._unloaded: set[str] = set()
        self._seen: dict[Path, Fingerprint] = {}
        self._replaced: dict[Path, str] = {}
        self._open: set[ServedModel] = set()
        self.loads: dict[tuple[str, int], Loads] = {}
        self._changing = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="repository")

    def find(self, name: str | None = None, version: int | None = None) -> ServedModel:
        """Return the version asked for; by default the highest that loaded, of the default model.

        Whoever awaits anything while using it writes `with repository.find(...) as model:`.

        Raises
        ------
        NotFoundError
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
            raise NotFoundError(
                f"The model '{name}' has no version {version}; the versions are {there}."
            )
        found = versions[version]
        if isinstance(found, Unserved):
            raise UnavailableError(found.sentence)
        return found

    def versions(self, name: str) -> Versions:
        """Return all versions of a model, also those that are not served; raise NotFoundError."""
        if name not in self.models:
            there = ", ".join(self.models)
            raise NotFoundError(f"There is no model '{name}'; the models are {there}.")
        return self.models[name]

    def served(self, name: str) -> list[int]:
        """Return the versions of a model that answer."""
        found = self.versions(name).items()
        return [version for version, model in found if isinstance(model, ServedModel)]

    def unserved(self, name: str) -> list[Unserved]:
        """Return the versions of a model that do not."""
        found = self.versions(name).values()
        return [version for version in found if isinstance(version, Unserved)]

    def remark(self, model: ServedModel) -> str | None:
        """Say what became of the files of a served version since it was loaded, if anything."""
        if _is_gone(self._seen[model.folder]):
            return "Its files are gone; it is served until it is unloaded."
        return self._replaced.get(model.folder)

    def load_all(self, folders: Mapping[str, Sequence[Path]]) -> None:
        """Load every version before anybody is served, as many models at once as there are CPUs."""
        with ThreadPoolExecutor(cpu_budget(), thread_name_prefix="loading") as loaders:
            surveys = {
                name: loaders.submit(self._survey, name, versions, True)
                for name, versions in folders.items()
            }
            try:
                for name, survey in surveys.items():
                    self._publish(name, survey.result())
            except BaseException:  # SIGTERM's too: what has not begun need not
                loaders.shutdown(wait=False, cancel_futures=True)
                raise

    async def load(self, name: str) -> None:
        """Load what is not served of a model, also what failed before or was unloaded.

        What is served already goes on being served, whatever comes of it.

        Raises
        ------
        NotFoundError
            If there is no such model in the repository.
        UnprocessableError
            If a version fails to load, or was changed in place after it was loaded.
        """
        async with self._changing:
            folders = (await self._folders()).get(name)
            if folders is None:
                raise NotFoundError(f"There is no model '{name}' in the repository.")
            self._unloaded.discard(name)
            self._publish(name, await self._run(self._survey, name, folders, True))
            faults = [found.sentence for found in self.unserved(name)]
            faults += [self._replaced[each] for each in folders if each in self._replaced]
            if faults:
                raise UnprocessableError(faults[-1])

    async def unload(self, name: str) -> None:
        """Serve a model no longer; requests under way are answered, and then its sessions end.

        Raises
        ------
        NotFoundError
            If there is no such model.
        """
        async with self._changing:
            before = self.versions(name)
            self._unloaded.add(name)
            there = await self._run(version_folders, self._root / name)
            self._publish(name, _unloaded(name, there))
            for model in before.values():
                if isinstance(model, ServedModel):
                    self._replaced.pop(model.folder, None)
                    model.retire(partial(self._worker.submit, self._end, model))

    async def poll(self) -> None:
        """Look for versions that have appeared, disappeared or changed, and load what is new."""
        async with self._changing:
            folders = await self._folders()
            for name in sorted({*folders, *self.models}):
                there = folders.get(name, [])
                if name in self._unloaded:
                    self._publish(name, _unloaded(name, there))
                else:
                    self._publish(name, await self._run(self._survey, name, there, False))

    @asynccontextmanager
    async def watched(self, seconds: float) -> AsyncIterator[None]:
        """Poll every so many seconds inside of the context; never if 0."""
        stop = asyncio.Event()
        watch = asyncio.create_task(self._watch(seconds, stop))
        try:
            yield
        finally:
            stop.set()
            await watch

    def close(self) -> None:
        """End all sessions."""
        self._worker.shutdown()
        for model in tuple(self._open):
            self._end(model)

    async def _watch(self, seconds: float, stop: asyncio.Event) -> None:
        while seconds and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
                return
            try:
                await self.poll()
            except Exception:
                log.exception("the repository could not be looked at")

    async def _folders(self) -> Mapping[str, list[Path]]:
        try:
            return await self._run(discover, self._root)
        except (ConfigurationError, OSError) as error:
            raise UnavailableError(f"The repository cannot be read: {error}") from error

    async def _run(self, look: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, look, *arguments)

    def _publish(self, name: str, versions: Versions) -> None:
        models = {**self.models, name: dict(sorted(versions.items()))}
        self.models = {name: models[name] for name in sorted(models) if models[name]}
        self._latest = {
            name: max(self.served(name), default=max(found)) for name, found in self.models.items()
        }

    def _survey(self, name: str, folders: Sequence[Path], again: bool) -> Versions:
        """Look at a model's folders: keep what is served, load what is new.

        What failed before is tried again if its files were touched since, or if asked to.
        """
        known = self.models.get(name, {})
        found: dict[int, ServedModel | Unserved] = {}
        for version, model in known.items():
            if isinstance(model, ServedModel):
                self._look_after(model)
                found[version] = model
        for folder in folders:
            version, seen = int(folder.name), fingerprint(folder)
            if version in found:
                continue
            if again or version not in known or seen != self._seen.get(folder):
                self._seen[folder] = seen
                found[version] = self._try(folder)
            else:
                found[version] = known[version]
        return found

    def _look_after(self, model: ServedModel) -> None:
        """Say, once, that a version which is served was changed in place or removed."""
        folder, seen = model.folder, fingerprint(model.folder)
        if seen == self._seen[folder]:
            return
        self._seen[folder] = seen
        self._replaced.pop(folder, None)
        which = {"model": model.card.name, "version": model.card.version}
        if _is_gone(seen):
            log.warning("the files of a served model are gone", **which)
            return
        try:
            model.check_folder()
        except ModelRejectedError as error:
            self._replaced[folder] = (
                f"Version {model.card.version} of the model '{model.card.name}' was changed in "
                f"place, and what was loaded before goes on being served: {error} A new version, "
                "or unloading and loading the model, is accepted."
            )
            log.error("a served model was changed in place", reason=str(error), **which)

    def _try(self, folder: Path) -> ServedModel | Unserved:
        name, version = folder.parent.name, int(folder.name)
        loads = self.loads.setdefault((name, version), Loads())
        try:
            model = self._load(folder)
        except ModelRejectedError as error:
            loads.refused += 1
            log.error("model refused", model=name, version=version, reason=str(error))
            return Unserved(name, version, str(error))
        loads.served += 1
        self._open.add(model)
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

    def _end(self, model: ServedModel) -> None:
        model.session.close()
        self._open.discard(model)
        log.info("model ended", model=model.card.name, version=model.card.version)


def open_repository(settings: Settings) -> Repository:
    """Load every version in the settings' repository.

    A version that is not what its card says is listed as failed and hinders no other.

    Raises
    ------
    ConfigurationError
        If there is no such folder, no model in it, or no default model of the name that is set;
        or if signatures are asked for and cannot be verified.
    DeviceUnavailableError
        If the settings' device does not start.
    """
    root = settings.repository
    folders = discover(root)
    if not folders:
        raise ConfigurationError(
            f"The repository {root} holds no model; <name>/<version>/{MODEL_FILE} is looked for."
        )
    default = settings.default_model or min(folders)
    if default not in folders:
        raise ConfigurationError(
            f"The default model '{default}' is not in the repository {root}; "
            f"the models are {', '.join(folders)}."
        )
    selection = select(settings.device, settings.gpu)
    if selection.note is not None:
        log.warning("device", note=selection.note)
    threads, verifier = settings.threads or cpu_budget(), open_verifier(settings)
    limits, proof, shadows = settings.limits, settings.proof, open_shadow(settings)
    proof_limits = settings.proof_limits

    def load(folder: Path) -> ServedModel:
        return load_version(
            folder, selection, threads, limits, proof, verifier, shadows, proof_limits
        )

    repository = Repository(root, default, load)
    repository.load_all(folders)
    return repository


def _unloaded(name: str, folders: Sequence[Path]) -> Versions:
    numbers = [int(folder.name) for folder in folders]
    return {number: Unserved(name, number, None) for number in numbers}


def _is_gone(seen: Fingerprint) -> bool:
    return not any(seen)
