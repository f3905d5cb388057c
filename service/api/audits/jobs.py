"""Audits that go on after their request was answered: where they are, their reports, their end."""

from typing import Annotated, Literal

from fastapi import Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from artifact.values import Sha256
from audit import Report
from service.api.addresses import Audits, RootPath
from service.api.audits.formats import AskedFormat, answer_report, choose_format, report_documented
from service.api.audits.ledger import report_path
from service.api.bodies import errors_documented
from service.audits import Job, JobQueue, State
from service.errors import ServiceError, refusal_of
from service.http.service_route import ServiceRoute

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
            kept = f"{job_path(job, root)}/report"
            status.report = report_path(finished.digest, root) if audits.ledger else kept
        if isinstance(failure, Exception):
            status.error = refusal_of(failure).sentence
        return status


def job_path(job: Job, root: str) -> str:
    """Return where a job is watched."""
    return f"{root}/audits/jobs/{job.id}"


def job_routes() -> list[ServiceRoute]:
    """Build the routes of `/audits/jobs`."""
    tags, address = ["audits"], "/audits/jobs/{job}"
    report = ServiceRoute(
        f"{address}/report",
        _report,
        needs="admin",
        tags=tags,
        summary="Answer the report of an audit that is done",
        response_model=Report,
        responses={200: report_documented(), **errors_documented(404, 406, 422)},
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


async def _status(audits: Audits, root: RootPath, job: JobId) -> JobStatus:
    """Say whether the audit waits, runs or has ended, and how far it is."""
    return JobStatus.of(audits.find(job), audits, root)


async def _cancel(audits: Audits, root: RootPath, job: JobId) -> JobStatus:
    """End an audit after the batch that runs; one that has ended already stays as it is."""
    found = audits.find(job)
    found.cancel()
    await found.wait()
    return JobStatus.of(found, audits, root)


async def _report(
    request: Request,
    audits: Audits,
    root: RootPath,
    job: JobId,
    format: Annotated[AskedFormat, Query()] = None,  # noqa: A002
) -> Response:
    """Answer the report, in the format that `format` or `Accept` names."""
    report_format = choose_format(request, format, audits.formats)
    found = audits.find(job)
    finished = found.finished
    if finished is None:
        raise ServiceError(
            404, f"The audit has no report: it is {found.state}; {job_path(found, root)} says more."
        )
    return await answer_report(request, finished.report, report_format, audits.formats, {})
