"""Loading a version: tried in another process, which may not come back, and then opened here."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from artifact.layout import CARD_FILE
from service import unawaited
from service.engine import ProviderCandidates
from service.repository.cache import Cache
from service.repository.folder import ModelRejectedError, check_audit_file, read_card
from service.repository.memory import give_back
from service.repository.trials import Trials, Tried
from service.repository.trials.attempt import failure
from service.repository.version import ServedModel, open_tried
from service.settings import Settings
from service.shadow import open_shadow
from service.signatures import open_verifier

_LOOK_SECONDS: Final = 0.05
"""Between two looks at a version that another worker tries."""

log = structlog.get_logger()


class Loader:
    """Loads versions as the settings ask. Its methods are called on an event loop."""

    def __init__(self, settings: Settings, candidates: ProviderCandidates, trials: Trials) -> None:
        self._candidates, self._trials = candidates, trials
        self._threads = settings.threads or settings.cpus
        self._limits, self._seconds = settings.limits, settings.load_seconds
        self._verifier, self._shadows = open_verifier(settings), open_shadow(settings)
        self._opened_at_once = asyncio.Semaphore(settings.cpus)
        self._cache = Cache(settings, candidates)

    async def load(self, folder: Path) -> ServedModel:
        """Load a version, or refuse it whatever its files do. Cancelled, it leaves nothing behind.

        Raises
        ------
        ModelRejectedError
            In one sentence.
        """
        digests = await asyncio.to_thread(_digests, folder)
        while True:
            kept = await self._kept(digests)
            if kept is not None and (model := await self._open_as_before(folder, kept)) is not None:
                self._trials.rest()
                return model
            async with self._trials.place():
                with self._cache.claimed(digests) as claimed:
                    # Or another worker has tried it while this one waited for a place.
                    if claimed and (kept is not None or await self._kept(digests) is None):
                        tried = await self._trials.attempt(folder, self._candidates)
                        if digests is not None and digests[CARD_FILE] == tried.digest:
                            await asyncio.to_thread(self._cache.keep, digests, tried)
                        break
            if not claimed:
                await asyncio.sleep(_LOOK_SECONDS)
        if tried.defect is not None:
            log.error("a trial stopped at an error", folder=str(folder), traceback=tried.defect)
        return await self._open(folder, tried)

    async def _kept(self, digests: Mapping[str, str] | None) -> Tried | None:
        return None if digests is None else await asyncio.to_thread(self._cache.find, digests)

    async def _open_as_before(self, folder: Path, kept: Tried) -> ServedModel | None:
        """Open a version that came out well before; None if it is to be tried again."""
        try:
            await asyncio.to_thread(check_audit_file, folder)
            return await self._open(folder, kept)
        except ModelRejectedError:  # a trial says more
            return None

    async def _open(self, folder: Path, tried: Tried) -> ServedModel:
        if tried.verification is None:
            raise ModelRejectedError(tried.refused or "It was not tried.")
        verification = tried.verification

        def open_here() -> ServedModel:
            return open_tried(
                folder,
                tried.digest,
                verification,
                self._candidates,
                self._threads,
                self._limits,
                self._verifier,
                self._shadows,
                tried.quick,
            )

        try:
            # The trial ended, so this does. But a graph may ask for random numbers.
            async with self._opened_at_once, asyncio.timeout(self._seconds):
                opened = await _in_thread(open_here)
        except TimeoutError:
            raise ModelRejectedError(
                f"It was tried, and opening it takes more than {self._seconds:g} s."
            ) from None
        except ModelRejectedError:
            raise
        except Exception as error:
            log.exception("opening a version stopped at an error", folder=str(folder))
            raise ModelRejectedError(failure(error)) from error
        self._log_loaded(opened)
        return opened

    def _log_loaded(self, model: ServedModel) -> None:
        """Tell of a version; of its device, what is not said of the machine already."""
        which, session = {"model": model.card.name, "version": model.card.version}, model.session
        note = session.graph.note
        log.info(
            "model loaded",
            **which,
            device=session.graph.configuration.device,
            threads=session.threads,
            **({} if note == self._candidates.note else {"note": note}),
        )
        for difference in model.verification.differences:
            log.warning("claim not shown", **which, difference=difference)

    def close(self) -> None:
        """End what is being tried."""
        self._trials.close()


def _digests(folder: Path) -> dict[str, str] | None:
    """Return what the card says of the files, and its own digest; None if a trial has to tell."""
    try:
        return read_card(folder)[1]
    except ModelRejectedError:
        return None


async def _in_thread(open_here: Callable[[], ServedModel]) -> ServedModel:
    """Open a version on a thread that nobody has to wait for; close what nobody waited for."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[ServedModel] = loop.create_future()

    def hand_over(model: ServedModel | None, error: Exception | None) -> None:
        if opened.done():  # nobody waits any more
            if model is not None:
                _close(model)
        elif model is not None:
            opened.set_result(model)
        elif error is not None:
            opened.set_exception(error)

    def run() -> None:
        model, error = None, None
        try:
            model = open_here()
        except Exception as refusal:
            error = refusal
        give_back()
        with suppress(RuntimeError):  # of a loop that has ended
            loop.call_soon_threadsafe(hand_over, model, error)

    unawaited.begin(run)
    try:
        return await opened
    except asyncio.CancelledError:
        if opened.done() and not opened.cancelled() and opened.exception() is None:
            _close(opened.result())
        raise


def _close(model: ServedModel) -> None:
    unawaited.begin(model.session.close)
