"""The application: routes, what surrounds them, and what lives as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from service.api.audits import audit_routes
from service.api.classify import classify_routes
from service.api.health import health_routes
from service.api.models import model_routes
from service.api.oip import infer_routes, oip_routes
from service.api.proof import proof_routes
from service.clients import BodyLimitMiddleware, HangUpMiddleware
from service.data_plane import DataPlane
from service.errors import answer_error
from service.middleware import ErrorMiddleware, RequestContextMiddleware
from service.repository import open_repository
from service.settings import Settings

_DESCRIPTION = """
Image classifiers that are invariant by construction, and audits that measure it.

Every answer carries `X-Request-ID` and `Server-Timing`. Whatever is refused is answered with
`{"error": "one sentence that says what was wrong and what is accepted"}`.
"""


def create_app(settings: Settings) -> FastAPI:
    """Build the application; the models are loaded when its lifespan begins.

    Entering the lifespan raises `ConfigurationError` or `DeviceUnavailableError`, one sentence
    each, if the service cannot start as it is configured.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        repository = open_repository(settings)
        app.state.data_plane = DataPlane(repository, settings)
        try:
            async with repository.watched(settings.poll_seconds):
                yield
        finally:
            repository.close()

    app = FastAPI(
        routes=infer_routes(settings.max_batch, settings.max_body_bytes),
        title="orbitserve",
        version=version("orbitserve"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=[
            Middleware(RequestContextMiddleware, request_seconds=settings.request_seconds),
            Middleware(ErrorMiddleware),
            Middleware(
                BodyLimitMiddleware,
                max_bytes=settings.max_body_bytes,
                max_seconds=settings.receive_seconds,
            ),
            Middleware(HangUpMiddleware),
        ],
        # The framework answers these two itself, in other shapes, unless it is told not to.
        exception_handlers={
            HTTPException: answer_error,
            RequestValidationError: answer_error,
        },
    )
    for routes in (classify_routes, audit_routes, proof_routes, model_routes, health_routes):
        app.include_router(routes())
    app.include_router(oip_routes(settings.max_batch))
    return app
