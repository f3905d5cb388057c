"""All audits of the service: which run, which wait, and what is remembered of those that ended."""

import asyncio
import math
from collections import OrderedDict
from typing import Final

import structlog
from anyio import CapacityLimiter, to_thread

from audit.canonical import report_digest
from audit.render import FORMATS, Renderings
from imaging import RefusedError
from service.audits.job import Audit, AuditCancelledError, Finished, Job
from service.errors import BusyError, ServiceError, UnavailableError, refusal_of
from service.ledger import Ledger, LedgerError
from service.pending import Held
from service.repository.folder import ModelRejectedError
from service.repository.version import ServedModel
from service.turns import Turns

_REMEMBERED: Final = 64
"""Jobs that are kept after their end, for whoever asked for them to fetch the report."""

_REMEMBERED_BYTES: Final = 2**25
"""Most bytes of their reports together, as JSON; in memory they take some times as much."""

_READ_AT_ONCE: Final = 2
_MOST_WAITING: Final = 32
"""Readings of reports, each of which takes seconds where there are many or large ones."""

_PAUSE: Final = 10
"""Seconds until the next try, where nothing is known of an audit's speed."""

log = structlog.get_logger()


class JobQueue:
    """Makes audits one at a time, behind the classifications of the model.

    Its methods are called on the event loop.

    Parameters
    ----------
    ledger
        Where every report is stored before anybody is given it, if anywhere.
    most
        Audits that may run or wait.
    formats
        Those that reports are answered in.

    Attributes
    ----------
    turns
        Where reports and the ledger are read, and reports written out.
    """

    def __init__(self, ledger: Ledger | None, most: int, formats: Renderings = FORMATS) -> None:
        self.ledger = ledger
        self.formats = formats
        self._most = most
        self._turn = CapacityLimiter(1)
        self.turns = Turns("readings of reports", _READ_AT_ONCE, _MOST_WAITING)
        self._under_way: dict[str, Job] = {}
        self._kept: OrderedDict[str, Job] = OrderedDict()
        self._until = 0.0

    @property
    def pending(self) -> int:
        """Audits that run or wait."""
        return len(self._under_way)

    def check_room(self) -> None:
        """Raise BusyError if as many audits run or wait as may."""
        if self.pending >= self._most:
            raise BusyError(
                f"{self.pending} audits run or wait, and at most {self._most} may; "
                "try again later.",
                retry_after=self._pause(),
            )

    def begin(self, model: ServedModel, audit: Audit, total: int, held: Held | None = None) -> Job:
        """Start an audit, or let it wait for its turn; raise BusyError if too many do.

        What its images hold is released when it ends.
        """
        try:
            self.check_room()
        except BusyError:
            if held is not None:
                held.release()
            raise
        job = Job(model, audit, total)
        self._under_way[job.id] = job
        job.start(self._run).add_done_callback(lambda _: self._ended(job, held))
        return job

    def keep(self, job: Job) -> None:
        """Remember a job by its id, also when it has ended.

        Of those that have, the last 64 are kept, and fewer if their reports are large; the last one
        however large it is.
        """
        self._kept[job.id] = job
        self._forget()

    def find(self, number: str) -> Job:
        """Return a job that is kept; raise ServiceError (404)."""
        job = self._kept.get(number)
        if job is None:
            raise ServiceError(
                404,
                f"There is no audit job '{number}'; those of processes that serve are kept, and "
                f"of the ones that have ended the last {_REMEMBERED} of each, or fewer if their "
                "reports are large.",
            )
        return job

    def end_within(self, seconds: float) -> None:
        """Allow the audits so many more seconds from now on, once the service ends."""
        self._until = asyncio.get_running_loop().time() + seconds

    async def close(self) -> None:
        """Wait for the audits as long as was allowed, cancel the others, and say which."""
        left = self._until - asyncio.get_running_loop().time()
        jobs = list(self._under_way.values())
        if jobs and left > 0:
            await asyncio.wait({asyncio.ensure_future(job.wait(left)) for job in jobs})
        for job in jobs:
            if not job.ended:
                log.warning("audit cancelled, the service ends", job=job.id, **_named(job.model))
                job.cancel()
                await job.wait()

    async def _run(self, job: Job) -> Finished:
        with job.model:
            try:
                return await to_thread.run_sync(self._finish, job, limiter=self._turn)
            except (ModelRejectedError, LedgerError) as error:
                raise UnavailableError(str(error)) from error
            except RefusedError as error:
                raise ServiceError(422, str(error)) from error
            except asyncio.CancelledError:
                raise AuditCancelledError from None

    def _finish(self, job: Job) -> Finished:
        if self.ledger is not None:
            self.ledger.check_writable()  # before there is anything to lose
        report = job.perform()
        size = len(report.model_dump_json())
        if self.ledger is None:
            return Finished(report, report_digest(report), size)
        return Finished(report, self.ledger.append(report).report, size)

    def _ended(self, job: Job, held: Held | None) -> None:
        del self._under_way[job.id]
        failure = job.failure
        if failure is not None and refusal_of(failure).status == 500:
            log.error("an audit failed", job=job.id, exc_info=failure, **_named(job.model))
        job.forget_images()
        self._forget()
        if held is not None:
            held.release()

    def _forget(self) -> None:
        """Forget jobs that ended, those that were begun first, until few enough are kept."""
        size = 0
        ended = [each for each in reversed(self._kept.values()) if each.ended]
        for count, job in enumerate(ended, 1):
            size += job.finished.size if job.finished else 0
            if count > _REMEMBERED or (count > 1 and size > _REMEMBERED_BYTES):
                del self._kept[job.id]

    def _pause(self) -> int:
        """Seconds until the audit that runs should be done, by the speed of earlier ones."""
        for job in self._under_way.values():
            counted = job.model.statistics.audited
            if job.state == "running" and counted.count:
                left = (job.total - job.done) * counted.ns / counted.count / 1e9
                return max(1, math.ceil(left))
        return _PAUSE


def _named(model: ServedModel) -> dict[str, object]:
    return {"model": model.card.name, "version": model.card.version}
