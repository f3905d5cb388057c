"""The model repository: which versions are there, which are served, and why others are not.

What is served is one snapshot, replaced as a whole on the event loop; folders are looked at on a
thread, and each version is loaded by a task of its own, which may be cancelled at any time. So a
request sees the models before a change or after it, never between, and waits for none of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple

import structlog

from artifact.layout import version_folders
from service.errors import ServiceError, UnavailableError
from service.repository.catalogue import Catalogue, Unserved, Versions
from service.repository.discovery import Fingerprint, Found, discover, fingerprint
from service.repository.folder import ModelRejectedError
from service.repository.memory import give_back
from service.repository.statistics import Loads
from service.repository.trials.attempt import failure
from service.repository.version import ServedModel
from service.settings import ConfigurationError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = structlog.get_logger()


class Loading(Protocol):
    """Loads versions; see `service.repository.loading.Loader`."""

    async def load(self, folder: Path) -> ServedModel:
        """Load a version; raise ModelRejectedError. It may be cancelled."""

    def close(self) -> None:
        """End what is being loaded."""


class Repository(Catalogue):
    """All versions of all models, as they are loaded, changed and unloaded.

    Its methods are called on the event loop.

    Attributes
    ----------
    loads
        How often versions were loaded, by name and version.
    started
        Set when every version that was there at the start was loaded or refused, or the time that
        one of them may take is over.
    """

    def __init__(self, root: Path, default: str, loader: Loading) -> None:
        super().__init__(default)
        self._root = root
        self._loader = loader
        self._loading: dict[Path, asyncio.Task[None]] = {}
        self._unloaded: set[str] = set()
        self._seen: dict[Path, Fingerprint] = {}
        self._replaced: dict[Path, str] = {}
        self._unread: dict[Path, str] = {}
        self._open: set[ServedModel] = set()
        self.loads: dict[tuple[str, int], Loads] = {}
        self.started = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="repository")

    def remark(self, model: ServedModel) -> str | None:
        """Say what became of the files of a served version since it was loaded, if anything."""
        if _is_gone(self._seen[model.folder]):
            return "Its files are gone; it is served until it is unloaded."
        return self._replaced.get(model.folder)

    def check_started(self) -> None:
        """Raise UnavailableError with what is being loaded, as long as the service is starting."""
        if not self.started.is_set():
            waiting = ", ".join(f"{each.parent.name}/{each.name}" for each in self._loading)
            raise UnavailableError(f"Models are still being loaded: {waiting or 'the last one'}.")

    def start(self, found: Found, seconds: float, unloaded: frozenset[str] = frozenset()) -> None:
        """Begin to load every version; the start is over when all are, or in so many seconds.

        Models that count as unloaded are left out.
        """
        self._note_unread(found)
        self._unloaded |= unloaded
        for name, folders in found.versions.items():
            if name in unloaded:
                self.publish(name, _unloaded(name, folders))
            else:
                self.publish(name, {int(each.name): self._begin(each) for each in folders})
        self._starting = asyncio.create_task(self._start(seconds))

    async def load(self, name: str) -> None:
        """Load what is not served of a model, also what failed before or was unloaded.

        What is served already goes on being served, whatever comes of it.

        Raises
        ------
        ServiceError (404)
            If there is no such model in the repository.
        ServiceError (422)
            If a version fails to load, or was changed in place after it was loaded; or if the model
            was unloaded meanwhile.
        """
        async with self._changing:
            folders = (await self._found()).versions.get(name)
            if folders is None:
                raise ServiceError(404, f"There is no model '{name}' in the repository.")
            self._unloaded.discard(name)
            await self._look(name, folders, again=True)
            tasks = [self._loading[each] for each in folders if each in self._loading]
        await _ended(tasks)
        faults = [found.sentence for found in self.unserved(name)]
        faults += [self._replaced[each] for each in folders if each in self._replaced]
        if faults:
            raise ServiceError(422, faults[-1])

    async def unload(self, name: str) -> None:
        """Serve a model no longer; requests under way are answered, and then its sessions end.

        What is being loaded of it is given up.

        Raises
        ------
        ServiceError (404)
            If there is no such model.
        """
        async with self._changing:
            self.versions(name)
            self._unloaded.add(name)
            there = await self._run(_folders_or_none, self._root / name)
            before = self.versions(name)
            self._give_up(folder for folder in self._loading if folder.parent.name == name)
            self.publish(name, _unloaded(name, there))
            for model in before.values():
                if isinstance(model, ServedModel):
                    self._replaced.pop(model.folder, None)
                    model.retire(partial(self._worker.submit, self._end, model))

    async def poll(self) -> None:
        """Look for versions that have appeared, disappeared or changed, and load what is new."""
        await self.look_around()
        await _ended(tuple(self._loading.values()))

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

    async def close(self) -> None:
        """Give up what is being loaded, and end all sessions."""
        loading = tuple(self._loading.values())
        self._give_up(self._loading)
        self._loader.close()
        if self._starting is not None:
            self._starting.cancel()
        await _ended(loading)
        await asyncio.to_thread(self._close_sessions)

    def _close_sessions(self) -> None:
        self._worker.shutdown()
        for model in tuple(self._open):
            self._end(model)

    async def _start(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _ended(tuple(self._loading.values()))
        self.started.set()
        served = sum(len(self.served(name)) for name in self.models)
        failed = sum(len(self.unserved(name)) for name in self.models) - len(self._loading)
        log.info("repository loaded", served=served, failed=failed, loading=len(self._loading))

    async def _watch(self, seconds: float, stop: asyncio.Event) -> None:
        told = None
        while seconds and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
                return
            try:
                await self.look_around()
                told = None
            except UnavailableError as error:
                if error.sentence != told:  # once, and not at every poll
                    told = error.sentence
                    log.error("the repository could not be looked at", reason=told)
            except Exception:
                log.exception("the repository could not be looked at")

    async def look_around(self) -> None:
        """Look at all models, and begin to load what is new."""
        async with self._changing:
            found = await self._found()
            self._note_unread(found)
            for name in sorted({*found.versions, *self.models}):
                there = found.versions.get(name, [])
                if name in self._unloaded:
                    self.publish(name, _unloaded(name, there))
                else:
                    await self._look(name, there, again=False)

    def _note_unread(self, found: Found) -> None:
        """Say, once, which folders are left alone because they cannot be read."""
        for folder, reason in found.unread.items():
            if self._unread.get(folder) != reason:
                name = folder.name.encode(errors="replace").decode()
                log.warning("folder left alone", folder=name, reason=reason)
        self._unread = found.unread

    async def _found(self) -> Found:
        try:
            return await self._run(discover, self._root)
        except (ConfigurationError, OSError) as error:
            raise UnavailableError(f"The repository cannot be read: {error}") from error

    async def _run(self, look: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, look, *arguments)

    async def _look(self, name: str, folders: Sequence[Path], again: bool) -> None:
        """Look at a model's folders: keep what is served, begin to load what is new.

        What failed before is tried again if its files were touched since, or if asked to.
        """
        served = (
            [self.find(name, each) for each in self.served(name)] if name in self.models else []
        )
        for model in served:
            await self._run(self._look_after, model)
        seen = await self._run(_fingerprints, folders)
        here = [folder for folder in self._loading if folder.parent.name == name]
        self._give_up(folder for folder in here if folder not in folders)
        known = self.models.get(name, {})
        found: dict[int, ServedModel | Unserved] = {
            version: model for version, model in known.items() if isinstance(model, ServedModel)
        }
        for folder in folders:
            version = int(folder.name)
            if version in found:
                continue
            if folder in self._loading:
                found[version] = Unserved(name, version, None, loading=True)
            elif again or version not in known or seen[folder] != self._seen.get(folder):
                found[version] = self._begin(folder)
            else:
                found[version] = known[version]
        self.publish(name, found)

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
        except Exception as error:
            self._replaced[folder] = (
                f"Version {model.card.version} of the model '{model.card.name}' was changed in "
                f"place, and what was loaded before goes on being served: {error} A new version, "
                "or unloading and loading the model, is accepted."
            )
            log.error("a served model was changed in place", reason=str(error), **which)

    def _begin(self, folder: Path) -> Unserved:
        self._loading[folder] = asyncio.create_task(self._load(folder))
        return Unserved(folder.parent.name, int(folder.name), None, loading=True)

    def _give_up(self, folders: Iterable[Path]) -> None:
        for folder in tuple(folders):
            self._loading.pop(folder).cancel()

    async def _load(self, folder: Path) -> None:
        name, version = folder.parent.name, int(folder.name)
        # As they are now: what is touched while it is loaded is tried again when it is next seen.
        self._seen[folder] = await self._run(fingerprint, folder)
        loads = self.loads.setdefault((name, version), Loads())
        found: ServedModel | Unserved
        try:
            found = await self._loader.load(folder)
        except Exception as error:
            expected = isinstance(error, ModelRejectedError)
            reason = str(error) if expected else failure(error)
            found = Unserved(name, version, reason)
            loads.refused += 1
            log.error("model refused", model=name, version=version, reason=reason)
        else:
            loads.served += 1
            self._open.add(found)
        del self._loading[folder]
        self.publish(name, {**self.models.get(name, {}), version: found})

    def _end(self, model: ServedModel) -> None:
        model.session.close()
        give_back()
        self._open.discard(model)
        log.info("model ended", model=model.card.name, version=model.card.version)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until tasks have ended in any way."""
    if tasks:
        await asyncio.wait(tasks)


def _fingerprints(folders: Sequence[Path]) -> dict[Path, Fingerprint]:
    return {folder: fingerprint(folder) for folder in folders}


def _folders_or_none(model: Path) -> list[Path]:
    try:
        return version_folders(model)
    except OSError:
        return []


def _unloaded(name: str, folders: Sequence[Path]) -> Versions:
    numbers = [int(folder.name) for folder in folders]
    return {number: Unserved(name, number, None) for number in numbers}


def _is_gone(seen: Fingerprint) -> bool:
    return not any(seen)
