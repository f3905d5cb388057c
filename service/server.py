"""The process: it starts whole or refuses in one sentence, and ends when it is asked to."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, cast

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from imaging.process import ENDING, end_when_asked
from service import unawaited
from service.app import create_app
from service.audits import JobQueue
from service.data_plane import DataPlane
from service.http.connection import protocol
from service.listening import bind, hold_grpc, invitation
from service.metrics.logs import configure_logs
from service.repository.memory import give_back, use_few_arenas
from service.repository.registry import Repository
from service.repository.trials import Trials
from service.settings import Settings
from service.workers.listener import OpenConnections, SharedListener
from service.workers.member import Member

if TYPE_CHECKING:
    from service.grpc.server import GrpcServer

_SWITCH_SECONDS = 0.0005
"""How long a thread that has computed a batch waits for a busy event loop to let it go on."""

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then finish the requests under way and return.

    Raises
    ------
    RefusedError
        If the service cannot start as it is configured.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    use_few_arenas()
    if settings.workers > 1:
        _supervise(settings)
        return
    trials = Trials(settings)
    trials.prepare(fork=True)
    configure_logs(settings.log_format, settings.log_level)
    end_when_asked()
    try:
        _serve(settings, trials, bind(settings.host, settings.port))
    finally:
        trials.close()


def _supervise(settings: Settings) -> None:
    """Have several processes serve; what they must have in common is decided here."""
    from service.workers.supervisor import Supervisor

    configure_logs(settings.log_format, settings.log_level)
    sockets = bind(settings.host, settings.port)
    with ExitStack() as stack:
        if settings.grpc_port is not None:
            held = stack.enter_context(hold_grpc(settings))
            settings = settings.model_copy(update={"grpc_port": held.getsockname()[1]})
        log.info(invitation(settings, sockets[0].getsockname()[1]))
        settings = settings.of_one_worker()

        def work(member: Member) -> None:
            configure_logs(settings.log_format, settings.log_level, worker=member.number)
            trials = Trials(settings)
            trials.prepare(fork=True)
            try:
                _serve(settings, trials, sockets, member)
            finally:
                trials.close()

        seconds = settings.poll_seconds, settings.worker_timeout
        Supervisor(settings.workers, work, sockets, *seconds).run()


def _serve(
    settings: Settings,
    trials: Trials,
    sockets: list[socket.socket],
    member: Member | None = None,
) -> None:
    app = create_app(settings, trials, member)
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
        runner.run(_run(app, config, sockets, settings))


async def _run(
    app: FastAPI, config: uvicorn.Config, sockets: list[socket.socket], settings: Settings
) -> None:
    # uvicorn would log what the lifespan raises with its traceback: it is entered here instead.
    async with app.router.lifespan_context(app):
        server = _Server(config, app.state.data_plane.member)
        _Ending(server, app, settings.shutdown_delay_seconds)
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
        port = sockets[0].getsockname()[1]
        say("Uvicorn running on http://%s:%d", host, port)
        if plane.member is None:
            log.info(invitation(settings, port))
        try:
            await server.serve(sockets)
        finally:
            freezing.cancel()


async def _freeze(repository: Repository) -> None:
    """What is loaded at the start stays: the collector of cycles need not look at it ever again."""
    await repository.started.wait()
    # What audits need and no start waits for: the first one would hold up requests by importing it.
    await _import("scipy.special")
    gc.collect()
    gc.freeze()
    await asyncio.to_thread(give_back)


async def _import(name: str) -> None:
    """Import a module on a thread that the end of the service does not wait for."""
    loop = asyncio.get_running_loop()
    imported = asyncio.Event()

    def run() -> None:
        import_module(name)
        with suppress(RuntimeError):  # of a loop that has ended
            loop.call_soon_threadsafe(imported.set)

    unawaited.begin(run)
    await imported.wait()


class _Server(uvicorn.Server):
    """uvicorn without its handling of signals, which would stop listening at the first one.

    It takes connections itself: one of several workers shares its sockets with the others,
    and uvloop hangs up on whoever comes while no more files may be open, without a word in the log.
    """

    def __init__(self, config: uvicorn.Config, member: Member | None) -> None:
        super().__init__(config)
        self._member = member

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        state, make = (
            self.server_state,
            cast(type[HttpToolsProtocol], self.config.http_protocol_class),
        )
        member = self._member
        self.servers = [
            SharedListener(  # type: ignore[list-item] # of which it asks no more than this has
                sockets or [],
                OpenConnections(1) if member is None else member.connections,
                0 if member is None else member.number,
                lambda: len(state.connections),
                lambda: make(self.config, state, self.lifespan.state),
            )
        ]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Ending:
    """What SIGTERM, SIGINT and SIGHUP do to a service that serves.

    The first makes it unready at once and, after a delay in which load balancers notice, lets it
    finish what it has accepted. The second ends the process there and then.
    """

    def __init__(self, server: _Server, app: FastAPI, delay: float) -> None:
        self._server, self._delay = server, delay
        self._grpc: GrpcServer | None = app.state.grpc
        self._plane: DataPlane = app.state.data_plane
        self._audits: JobQueue = app.state.job_queue
        self._loop = asyncio.get_running_loop()
        self._asking: set[str] = set()
        for number in ENDING:
            self._loop.add_signal_handler(number, self._asked, number, "signal")
        if self._plane.member is not None:
            self._plane.member.end = lambda number: self._asked(number, "supervisor")

    def _asked(self, number: int, by: str) -> None:
        """End; at once where the same asks again, since one signal to a whole group is heard twice.

        A worker of several hears it itself, and from its supervisor.
        """
        if by in self._asking:
            # Not the signal's default action: the kernel ignores that for process 1. Behind what is
            # due already, such as the lines of requests that were answered.
            self._loop.call_soon(os._exit, 128 + number)
            return
        self._asking.add(by)
        self._begin(number)

    def _begin(self, number: int) -> None:
        if self._plane.ending:
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
