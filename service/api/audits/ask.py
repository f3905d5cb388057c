"""Audits on demand: does the model that is served keep its answers when images are rotated?"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends, Query, Request
from starlette.responses import JSONResponse, Response

from audit import Report
from service.api.addresses import NAMED, Audits, Plane, Resolve, RootPath
from service.api.audits.events import EventResponse
from service.api.audits.formats import (
    answer_report,
    choose_format,
    choose_language,
    report_documented,
    wants_events,
)
from service.api.audits.jobs import JobStatus, job_path
from service.api.audits.ledger import report_path
from service.api.audits.query import AuditQuery
from service.api.bodies import errors_documented, images_documented, read_body
from service.audits import Job, JobQueue
from service.data_plane import DataPlane
from service.errors import UnavailableError
from service.http.context import preferred_wait, prefers_async
from service.http.service_route import ServiceRoute
from service.metrics.call import Call
from service.repository.version import ServedModel
from service.settings import Settings

_ACCEPTED: Final[dict[str, Any]] = {
    "model": JobStatus,
    "description": "The audit goes on; `Location` says where it is watched.",
    "headers": {"Location": {"schema": {"type": "string"}}},
}


def audit_routes(settings: Settings) -> list[ServiceRoute]:
    """Build the routes of `/audit` under every address that names a model."""
    return [
        ServiceRoute(
            f"{prefix}/audit",
            _endpoint(resolve, settings),
            needs="admin",
            repeated=frozenset({"labels"}),
            methods=["POST"],
            tags=["audits"],
            operation_id=f"audit_{resolve.__name__}",
            summary="Audit a model's invariance",
            response_model=Report,
            responses={
                200: report_documented(signed=settings.signing_key is not None, events=True),
                202: _ACCEPTED,
                **errors_documented(400, 404, 406, 408, 413, 415, 422, 503),
            },
            openapi_extra=images_documented(required=False),
        )
        for prefix, resolve in NAMED.items()
    ]


def _endpoint(resolve: Resolve, settings: Settings) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def audit(
        request: Request,
        plane: Plane,
        audits: Audits,
        root: RootPath,
        model: Annotated[ServedModel, Depends(resolve)],
        query: Annotated[AuditQuery, Query()],
    ) -> Response:
        """Audit the model over the images of the body, or over its bundled set without a body.

        Every image is rotated by every exact grid symmetry of the group, and by `angles` where they
        are asked for. The report has its verdict, `PASS`, `FAIL` or `INCONCLUSIVE`, and equal
        requests get equal reports. With `Prefer: respond-async` the audit goes on after the answer,
        202; with `Accept: text/event-stream` its progress is told on the way.
        """
        call = Call.of(request.scope)
        events = wants_events(request)
        # What cannot be answered is refused before it is computed.
        report_format = choose_format(
            request, query.format or ("json" if events else None), audits.formats
        )
        wait = None if events else _wait_before_later(request)
        if wait is not None and plane.ending:
            raise UnavailableError("The service is ending, and accepts no audit to answer later.")
        job = await _begin(request, plane, audits, model, query, settings)
        if events:
            return EventResponse(job, report_format, audits, choose_language(request))
        if wait is not None and not await _done_within(job, audits, wait):
            return JSONResponse(
                JobStatus.of(job, audits, root).model_dump(mode="json"),
                202,
                {"Location": job_path(job.id, root), "Preference-Applied": "respond-async"},
            )
        with call.timings.stage("audit"):
            finished = await job.result()
        stored = {}
        if audits.ledger is not None:
            stored["Content-Location"] = report_path(finished.digest, root)
        return await answer_report(request, finished.report, report_format, audits, stored)

    return audit


async def _begin(
    request: Request,
    plane: DataPlane,
    audits: JobQueue,
    model: ServedModel,
    query: AuditQuery,
    settings: Settings,
) -> Job:
    call = Call.of(request.scope)
    call.asks(model)
    with call.timings.stage("receive"):
        body = await read_body(request)
    audits.check_room()
    images, files = await plane.audit_images(model, body, call) or (None, ())
    audit, total = query.audit(model, images, settings, files)
    return audits.begin(model, audit, total, call.held.pass_on_images())


async def _done_within(job: Job, audits: JobQueue, seconds: float) -> bool:
    """Wait so long, then let a job go on without its client, and say whether it had ended.

    A client that hangs up while it waits has not been told of the job: it ends.
    """
    try:
        ended = await job.wait(seconds)
    except asyncio.CancelledError:
        job.cancel()
        raise
    if not ended:
        audits.keep(job)
    return ended


def _wait_before_later(request: Request) -> float | None:
    """Return how long to wait before the answer is that it comes later; None where it is not."""
    preferences = ",".join(request.headers.getlist("prefer")).encode("latin-1")
    if not prefers_async(preferences):
        return None
    wait = preferred_wait(preferences)
    return 0.0 if math.isinf(wait) else wait
