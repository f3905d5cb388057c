"""The application: routes, what surrounds them, and what lives as long as it does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from anyio import to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from artifact.product import product_version
from audit.render import formats
from service import unawaited
from service.api.audits import (
    audit_routes,
    comparison_routes,
    history_routes,
    job_routes,
    ledger_routes,
)
from service.api.classify import classify_routes
from service.api.console import console_routes
from service.api.docs import documentation_routes
from service.api.models import model_routes
from service.api.monitoring import health_routes, metrics_routes
from service.api.oip import infer_routes, oip_routes
from service.api.proof import proof_routes
from service.api.worker_answers import WorkerAnswers
from service.audits import JobQueue
from service.auth import ApiKeys
from service.data_plane import DataPlane
from service.http.application import Application
from service.http.errors import answer_error
from service.http.middleware import Middleware
from service.http.service_route import ServiceRoute
from service.ledger import Ledger, LedgerError, open_ledger
from service.metrics.prometheus import Metrics
from service.metrics.traces import Traces
from service.pending import PendingBytes
from service.repository.startup import open_repository
from service.repository.trials import Trials
from service.settings import ConfigurationError, Settings
from service.signatures import SignatureError, configured_signer, open_trust
from service.workers.member import Member

if TYPE_CHECKING:
    from service.grpc.server import GrpcServer
    from service.signatures.keys import KeySigner

_DESCRIPTION = """
Image classifiers that are invariant by construction, and audits that measure it.

Every answer carries `X-Request-ID` and `Server-Timing`. Whatever is refused is answered with
`{"error": "one sentence that says what was wrong and what is accepted"}`.
"""


def create_app(
    settings: Settings, trials: Trials | None = None, member: Member | None = None
) -> FastAPI:
    """Build the application; the models begin to be loaded when its lifespan does.

    As a member of several workers it speaks with the others.

    Entering the lifespan raises `ConfigurationError` or `DeviceUnavailableError`, one sentence
    each, if the service cannot start as it is configured.
    """

    keys, metrics, traces = ApiKeys(settings.api_keys), Metrics(), Traces()
    pending = PendingBytes(settings.pending_bytes)
    routes = [*infer_routes(), *classify_routes()]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        keys.open()
        async with AsyncExitStack() as stack:
            if member is not None:
                await stack.enter_async_context(member.alive())
            app.state.grpc = None if member is not None else _grpc_server(settings)
            stack.push_async_callback(to_thread.run_sync, traces.close)
            traces.open()
            # What may refuse to start comes before anything is loaded.
            app.state.job_queue = await to_thread.run_sync(_open_audits, settings)
            unloaded = frozenset[str]() if member is None else member.unloaded
            repository = await open_repository(settings, trials, unloaded)
            metrics.repository = repository
            stack.push_async_callback(repository.close)
            app.state.data_plane = DataPlane(repository, settings, member)
            decoders = app.state.data_plane.decoders
            stack.push_async_callback(to_thread.run_sync, decoders.close)
            unawaited.begin(decoders.start)
            stack.push_async_callback(app.state.job_queue.close)
            if member is None:
                await stack.enter_async_context(repository.watched(settings.poll_seconds))
            else:
                await stack.enter_async_context(member.open(WorkerAnswers(app)))
                if member.replaces:  # meanwhile the others take what comes
                    await repository.started.wait()
                app.state.grpc = _grpc_server(settings)
            if app.state.grpc is not None:
                await app.state.grpc.start(app)
                stack.push_async_callback(app.state.grpc.stop)
            yield

    app = Application(
        routes=[*routes, *_framed(settings)],
        title="orbitserve",
        version=product_version(),
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        outermost=lambda app: Middleware(app, routes, settings, pending, keys, metrics, traces),
        # The framework answers these two itself, in other shapes, unless it is told not to.
        exception_handlers={
            HTTPException: answer_error,
            RequestValidationError: answer_error,
        },
    )
    app.state.metrics, app.state.keys, app.state.traces = metrics, keys, traces
    app.state.pending = pending
    return app


def _framed(settings: Settings) -> list[ServiceRoute]:
    """Build the routes that FastAPI answers."""
    signed = settings.signing_key is not None
    model_control = settings.model_control or settings.api_keys is not None
    return [
        *proof_routes(settings.proof_limits),
        *model_routes(),
        *job_routes(signed=signed),
        *comparison_routes(settings.max_audit_images),
        *history_routes(),
        *ledger_routes(signed=signed),
        *audit_routes(settings),
        *health_routes(),
        *metrics_routes(),
        *oip_routes(settings.max_batch_size, model_control=model_control),
        *documentation_routes(),
        *(console_routes() if settings.console else []),
    ]


def _grpc_server(settings: Settings) -> "GrpcServer | None":
    """Take the port for gRPC, if there is one; what speaks it is imported then and only then."""
    if settings.grpc_port is None:
        return None
    from service.grpc.server import GrpcServer

    return GrpcServer(settings)


def _open_audits(settings: Settings) -> JobQueue:
    signer = configured_signer(settings)
    ledger = None if settings.ledger is None else _open_ledger(settings.ledger, settings, signer)
    return JobQueue(ledger, settings.max_audits, formats(signer))


def _open_ledger(url: str, settings: Settings, signer: "KeySigner | None") -> Ledger:
    try:
        trust = open_trust(settings) or (signer.trust() if signer else None)
        return open_ledger(url, signer, trust)
    except (LedgerError, SignatureError) as error:
        raise ConfigurationError(str(error)) from error
