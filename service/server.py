"""The process: it starts whole or refuses in one sentence, and ends when it is asked to."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import structlog
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.audits import JobQueue
from service.data_plane import DataPlane
from service.http.connection import protocol
from service.metrics.logs import configure_logs
from service.repository.loading import still_opening
from service.repository.registry import Repository
from service.repository.trials import Trials
from service.settings import ConfigurationError, Settings

if TYPE_CHECKING:
    from service.grpc.server import GrpcServer

_SWITCH_SECONDS = 0.0005
"""How long a thread that has computed a batch waits for a busy event loop to let it go on."""

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way and return.

    Raises
    ------
    RefusedError
        If the service cannot start as it is configured.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    trials = Trials(settings)
    trials.prepare(fork=True)
    configure_logs(settings.log_format, settings.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    try:
        _serve(settings, trials)
    finally:
        trials.close()
    if still_opening():
        # The interpreter would take its thread away from a library in the middle of what it does.
        sys.stderr.flush()
        os._exit(0)


def _serve(settings: Settings, trials: Trials) -> None:
    sockets = _bind(settings.host, settings.port)
    app = create_app(settings, trials)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol(settings.receive_seconds),
        ws="none",
        root_path=settings.root_path,
        timeout_keep_alive=settings.keep_alive_seconds,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who the client is, or how it came
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_run(app, config, sockets, settings.shutdown_delay_seconds))


async def _run(
    app: FastAPI, config: uvicorn.Config, sockets: list[socket.socket], delay: float
) -> None:
    # uvicorn would log what the lifespan raises with its traceback: it is entered here instead.
    async with app.router.lifespan_context(app):
        server = _Server(config)
        _Ending(server, app, delay)
        plane: DataPlane = app.state.data_plane
        freezing = asyncio.create_task(_freeze(plane.repository))
        for each in sockets:
            each.listen(config.backlog)
        host = f"[{config.host}]" if ":" in config.host else config.host
        # As uvicorn says it, which is silent about sockets that it is given.
        say = logging.getLogger("uvicorn.error").info
        grpc: GrpcServer | None = app.state.grpc
        if grpc is not None:
            say("gRPC running on %s:%d", host, grpc.port)
        say("Uvicorn running on http://%s:%d", host, sockets[0].getsockname()[1])
        try:
            await server.serve(sockets)
        finally:
            freezing.cancel()


async def _freeze(repository: Repository) -> None:
    """What is loaded at the start stays: the collector of cycles need not look at it ever again."""
    await repository.started.wait()
    gc.collect()
    gc.freeze()


def _bind(host: str, port: int) -> list[socket.socket]:
    """Take the addresses that a host stands for, before anything is loaded.

    The address of all interfaces of IPv6 takes those of IPv4 as well.

    Raises
    ------
    ConfigurationError
        If there is no such address on this machine, or it is taken.
    """
    sockets = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol_number, _, address in dict.fromkeys(found):
            sockets.append(each := socket.socket(family, kind, protocol_number))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            each.bind(address)
    except (OSError, UnicodeError) as error:
        for each in sockets:
            each.close()
        reason = getattr(error, "strerror", None) or "it is no address"
        raise ConfigurationError(
            f"The address {host}:{port} cannot be listened on ({reason}); --host and --port, or "
            "ORBITSERVE_HOST and ORBITSERVE_PORT, name another."
        ) from None
    return sockets


class _Server(uvicorn.Server):
    """uvicorn without its handling of signals, which would stop listening at the first one."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Ending:
    """What SIGTERM and SIGINT do to a service that serves.

    The first makes it unready at once and, after a delay in which load balancers notice, lets it
    finish what it has accepted. The second ends the process there and then.
    """

    def __init__(self, server: _Server, app: FastAPI, delay: float) -> None:
        self._server, self._delay = server, delay
        self._grpc: GrpcServer | None = app.state.grpc
        self._plane: DataPlane = app.state.data_plane
        self._audits: JobQueue = app.state.job_queue
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._asked, number)

    def _asked(self, number: int) -> None:
        if self._plane.ending:
            # Not the signal's default action: the kernel ignores that for process 1. Behind what is
            # due already, such as the lines of requests that were answered.
            self._loop.call_soon(os._exit, 128 + number)
            return
        log.info("ending", signal=signal.Signals(number).name, delay=self._delay)
        self._plane.ending = True
        self._loop.call_later(self._delay, self._stop)

    def _stop(self) -> None:
        seconds = self._server.config.timeout_graceful_shutdown or 0
        self._audits.end_within(seconds)
        if self._grpc is not None:
            self._grpc.end_within(seconds)
        self._server.should_exit = True


def _exit(number: int, frame: FrameType | None) -> None:
    """End while the device is still being started: the event loop is not there to be asked."""
    raise SystemExit(0)
