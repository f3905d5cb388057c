"""The process: it starts whole or refuses in one sentence, and ends when it is asked to."""

import asyncio
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.engine import DeviceUnavailableError
from service.observability.logs import configure_logs
from service.settings import ConfigurationError, Settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way and return.

    Raises
    ------
    SystemExit
        With one sentence, hence status 1, if the service cannot start as it is configured.
    """
    configure_logs(settings.log_format, settings.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(app, config))
    except (ConfigurationError, DeviceUnavailableError) as refusal:
        sys.exit(f"orbitserve: {refusal}")


async def _run(app: FastAPI, config: uvicorn.Config) -> None:
    # uvicorn would log what the lifespan raises with its traceback: it is entered here instead.
    async with app.router.lifespan_context(app):
        server = uvicorn.Server(config)
        try:
            await server.serve()
        except SystemExit:
            # Raised where uvicorn cannot bind, and by `_exit` when uvicorn, done with its
            # shutdown, raises the signal that caused it once more.
            if not server.started:
                raise ConfigurationError(
                    f"The address {config.host}:{config.port} cannot be listened on; "
                    "ORBITSERVE_HOST and ORBITSERVE_PORT name another."
                ) from None


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
