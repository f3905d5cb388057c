"""Audits on demand: does the model that is served keep its answers when images are turned?"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from audit import Report, Thresholds
from service.api.addresses import NAMED, Plane, Resolve
from service.api.bodies import errors_documented, images_documented, read_body
from service.version import ServedModel


class AuditQuery(Thresholds):
    """What an audit can be asked for: the thresholds, and the group to try."""

    group: Annotated[
        str | None,
        Field(description="`C4`, `D4` or another; by default the one the model was packaged with."),
    ] = None

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds alone, as a report carries them."""
        return Thresholds(**self.model_dump(exclude={"group"}))


def audit_routes() -> APIRouter:
    """Build the routes of `/audit` under every address that names a model."""
    router = APIRouter(tags=["audits"])
    for prefix, resolve in NAMED.items():
        router.add_api_route(
            f"{prefix}/audit",
            _endpoint(resolve),
            methods=["POST"],
            operation_id=f"audit_{resolve.__name__}",
            summary="Audit a model's invariance",
            responses=errors_documented(400, 404, 408, 413, 415, 422, 503),
            openapi_extra=images_documented(required=False),
        )
    return router


def _endpoint(resolve: Resolve) -> Callable[..., Coroutine[Any, Any, Report]]:
    async def audit(
        request: Request,
        plane: Plane,
        model: Annotated[ServedModel, Depends(resolve)],
        query: Annotated[AuditQuery, Query()],
    ) -> Report:
        """Audit the model over the images of the body, or over its bundled set without a body.

        Every image is turned by every exact grid symmetry of the group. The report has its
        verdict, `PASS`, `FAIL` or `INCONCLUSIVE`, first, and equal requests get equal reports.
        """
        timings = request.state.timings
        with timings.stage("receive"):
            body = await read_body(request)
        return await plane.audit(model, body, query.group, query.thresholds, timings)

    return audit
