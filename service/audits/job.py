"""One audit, from its options to its report."""

import asyncio
import threading
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from artifact.values import Sha256
from audit import Progress, Report
from service.errors import UnavailableError
from service.repository.version import ServedModel

State = Literal["waiting", "running", "done", "failed", "cancelled"]

Audit = Callable[[Progress], Report]
"""Makes a report, and tells after each batch how far it is; what that raises ends it."""


class AuditCancelledError(UnavailableError):
    """The audit was ended before it had a report."""

    def __init__(self) -> None:
        super().__init__("The audit was cancelled; ask for it again.")


@dataclass(frozen=True)
class Finished:
    """A report, its digest, and how many bytes its JSON has."""

    report: Report
    digest: Sha256
    size: int


class Job:
    """One audit: where it is, and a way to end it. Its methods belong on the event loop.

    Parameters
    ----------
    model
        What is audited; it is held until the audit has ended.
    audit
        Runs on a thread.
    total
        How many images it is going to have classified.

    Attributes
    ----------
    done
        How many have been.
    """

    def __init__(self, model: ServedModel, audit: Audit, total: int) -> None:
        self.id = uuid4().hex
        self.model = model
        self.done, self.total = 0, total
        self._audit: Audit | None = audit
        self._began = False
        self._cancelled = threading.Event()
        self._task: asyncio.Task[Finished] | None = None

    @property
    def state(self) -> State:
        """Where it is."""
        if self._task is None or not self._task.done():
            return "running" if self._began else "waiting"
        if self._task.cancelled() or isinstance(self._task.exception(), AuditCancelledError):
            return "cancelled"
        return "failed" if self._task.exception() else "done"

    @property
    def ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self._task is not None and self._task.done()

    @property
    def finished(self) -> Finished | None:
        """Its report, if it is done."""
        return self._task.result() if self._task and self.state == "done" else None

    @property
    def failure(self) -> BaseException | None:
        """What it failed of, if it did."""
        return self._task.exception() if self._task and self.state == "failed" else None

    def start(
        self, run: Callable[["Job"], Coroutine[None, None, Finished]]
    ) -> asyncio.Task[Finished]:
        """Let it be run."""
        self._task = asyncio.create_task(run(self), name=f"audit {self.id}")
        return self._task

    def perform(self) -> Report:
        """Make the report, on a thread.

        Raises
        ------
        AuditCancelledError
            After the batch in which it was cancelled.
        """
        self._began = True
        self._advance(0, self.total)
        assert self._audit is not None  # noqa: S101 -- it is forgotten when it has been made
        report = self._audit(self._advance)
        self._advance(self.total, self.total)
        return report

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, so long at most, and return whether it has."""
        assert self._task is not None  # noqa: S101 -- nobody is given a job that was not started
        await asyncio.wait({self._task}, timeout=seconds)
        return self._task.done()

    async def result(self) -> Finished:
        """Wait for the report; a caller that is cancelled cancels the audit.

        Raises
        ------
        ServiceError, EngineError
            If there is none.
        """
        assert self._task is not None  # noqa: S101
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def cancel(self) -> None:
        """End it: at once where it waits, after the batch that runs where it has begun."""
        self._cancelled.set()
        if self._task is not None and not self._began:
            self._task.cancel()

    def forget_images(self) -> None:
        """Let go of what was audited: whoever fetches the report later has no need of it."""
        self._audit = None
        if self._task is None or self._task.cancelled():
            return
        error = self._task.exception()
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__ or error.__context__

    def _advance(self, done: int, total: int) -> None:
        if self._cancelled.is_set():
            raise AuditCancelledError
        self.done, self.total = done, total
