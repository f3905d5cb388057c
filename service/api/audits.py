"""Audits on demand: does the model that is served keep its answers when images are turned?"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from audit import Proportion, Report, Thresholds, Tolerance
from service.api.addresses import NAMED, Plane, Resolve
from service.api.bodies import errors_documented, images_documented, read_body
from service.version import ServedModel


class AuditQuery(BaseModel):
    """What an audit can be asked for: the group to try, and thresholds."""

    model_config = ConfigDict(extra="forbid")

    group: Annotated[
        str | None,
        Field(description="`C4`, `D4` or another; by default the one the model was packaged with."),
    ] = None
    agreement: Annotated[
        Proportion | None,
        Field(description="Part of all images that must keep their label; by default 0.99."),
    ] = None
    confidence: Annotated[
        Proportion | None, Field(description="Of the interval of that part; by default 0.95.")
    ] = None
    logit_tolerance: Annotated[
        Tolerance | None,
        Field(
            description="How far a logit may move, relative to the largest one; by default as "
            "the model's precision allows: 0.0001 for fp32, 0.01 for fp16, 0 for integers."
        ),
    ] = None

    def thresholds(self, model: ServedModel) -> Thresholds:
        """Return what is asked of a model, defaults filled in."""
        asked = self.model_dump(exclude={"group"})
        return Thresholds.of(model.card.precision, **asked)


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
            responses=errors_documented(400, 404, 413, 415, 422, 503),
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
        return await plane.audit(model, body, query.group, query.thresholds(model), timings)

    return audit
