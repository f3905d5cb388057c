"""Audits that go on after their request was answered: where they are, their reports, their end."""

from typing import Annotated, Final, Literal

from fastapi import Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from artifact.values import Sha256
from audit import Report
from service.api.addresses import Audits, Plane, RootPath
from service.api.audits.formats import ReportQuery, answer_report, choose_format, report_documented
from service.api.audits.ledger import report_path
from service.api.bodies import errors_documented
from service.audits import Job, JobQueue, State
from service.data_plane import DataPlane
from service.errors import ServiceError, refusal_of
from service.http.service_route import ServiceRoute
from service.workers.messages import FindJob

_SECONDS: Final = 30.0
"""How long the worker that has a job is waited for; to cancel one waits for its batch."""

JobId = Annotated[str, Path(description="The id of the job, as its `Location` has it.")]


class JobStatus(BaseModel):
    """Where an audit is.

    Attributes
    ----------
    done, total
        Images that were classified, and that will have been, rotated ones and self-tests included.
    report
        Where the report is, once there is one.
    digest
        SHA-256 of its canonical JSON.
    error
        Why there is none, after a failure.
    """

    id: str
    state: State
    model: str
    version: int
    done: int
    total: int
    report: str | None = None
    digest: Sha256 | None = None
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE"] | None = None
    error: str | None = None

    @classmethod
    def of(cls, job: Job, audits: JobQueue, root: str) -> "JobStatus":
        """Describe a job; its report is named where it stays longest."""
        finished, failure = job.finished, job.failure
        status = cls(
            id=job.id,
            state=job.state,
            model=job.model.card.name,
            version=job.model.card.version,
            done=job.done,
            total=job.total,
        )
        if finished is not None:
            status.digest, status.verdict = finished.digest, finished.report.verdict
            kept = f"{job_path(job.id, root)}/report"
            status.report = report_path(finished.digest, root) if audits.ledger else kept
        if isinstance(failure, Exception):
            status.error = refusal_of(failure).sentence
        return status


class FoundJob(BaseModel):
    """Where an audit is, and its report if that was asked for and is there."""

    status: JobStatus
    report: Report | None


def job_path(job: str, root: str) -> str:
    """Return where the job of an id is watched."""
    return f"{root}/audits/jobs/{job}"


def job_routes(*, signed: bool) -> list[ServiceRoute]:
    """Build the routes of `/audits/jobs`; `signed` is whether reports may be had signed."""
    tags, address = ["audits"], "/audits/jobs/{job}"
    report = ServiceRoute(
        f"{address}/report",
        _report,
        needs="admin",
        tags=tags,
        summary="Answer the report of an audit that is done",
        response_model=Report,
        responses={200: report_documented(signed=signed), **errors_documented(404, 406, 422, 503)},
    )
    return [
        *(
            ServiceRoute(
                address,
                endpoint,
                needs="admin",
                methods=[method],
                tags=tags,
                summary=summary,
                response_model=JobStatus,
                responses=errors_documented(404, 422),
            )
            for method, endpoint, summary in (
                ("GET", _status, "Say where an audit is"),
                ("DELETE", _cancel, "Cancel an audit"),
            )
        ),
        report,
    ]


async def _status(plane: Plane, audits: Audits, root: RootPath, job: JobId) -> JobStatus:
    """Say whether the audit waits, runs or has ended, and how far it is."""
    return (await _find(plane, audits, FindJob(job, root))).status


async def _cancel(plane: Plane, audits: Audits, root: RootPath, job: JobId) -> JobStatus:
    """End an audit after the batch that runs; one that has ended already stays as it is."""
    return (await _find(plane, audits, FindJob(job, root, cancel=True))).status


async def _report(
    request: Request,
    plane: Plane,
    audits: Audits,
    root: RootPath,
    job: JobId,
    query: Annotated[ReportQuery, Query()],
) -> Response:
    """Answer the report, in the format that `format` or `Accept` names."""
    report_format = choose_format(request, query.format, audits.formats)
    audits.turns.check_room()
    found = await _find(plane, audits, FindJob(job, root, report=True))
    if found.report is None:
        raise ServiceError(
            404,
            f"The audit has no report: it is {found.status.state}; "
            f"{job_path(job, root)} says more.",
        )
    return await answer_report(request, found.report, report_format, audits, {})


async def _find(plane: DataPlane, audits: JobQueue, asked: FindJob) -> FoundJob:
    """Find a job here or, where there are several workers, at the one that was asked for it."""
    try:
        return await find_here(audits, asked)
    except ServiceError:
        if plane.member is None:
            raise
        for answer in await plane.member.ask(asked, _SECONDS):
            if not answer.status:
                return FoundJob.model_validate_json(answer.content)
        raise


async def find_here(audits: JobQueue, asked: FindJob) -> FoundJob:
    """Find a job of this process, and cancel it if so asked; raise ServiceError (404)."""
    job = audits.find(asked.id)
    if asked.cancel:
        job.cancel()
        await job.wait()
    report = job.finished.report if asked.report and job.finished is not None else None
    return FoundJob(status=JobStatus.of(job, audits, asked.root), report=report)
