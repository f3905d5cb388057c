"""A long run over HTTP and gRPC in which nothing may go wrong or be lost, and no memory grow.

Meanwhile another model is unloaded and loaded, clients give up, and a worker is killed: what that
one had in hand is lost, and nothing else.
"""

import argparse
import asyncio
import math
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import grpc

from benchmarks.machine import describe_machine
from benchmarks.serving.formats import oip_binary, oip_grpc
from benchmarks.serving.launchers import Setting, orbitserve
from benchmarks.serving.model import ModelUnderTest, open_model_under_test
from benchmarks.serving.rounds import check
from benchmarks.serving.server import Server, ServerError, ask, call, free_port, running
from service.settings import ConfigurationError

CONNECTIONS, CHANNELS, CALLS = 16, 4, 4
"""Connections of HTTP; channels of gRPC, and calls that are under way at once on each."""

GIVEN_UP: Final = 0.01
"""Part of the requests whose client goes away."""

KILLED_AT, EARLY_AT = 0.1, 0.2
"""Parts of the run after which a worker is killed, and memory is read first."""

KILL_SECONDS: Final = 5.0
"""How long after the kill what was in hand may fail."""

LOAD_SECONDS: Final = 120.0
"""How long a reload may take beside all that load."""

MOST_GROWTH: Final = 1.05


@dataclass
class Soak:
    """What was asked, and what came of it.

    Attributes
    ----------
    due
        By request, the answer that came first, whose labels are those of the bare session.
    """

    server: Server
    wanted: int
    due: dict[bytes, bytes]
    answered: int = 0
    wrong: int = 0
    given_up: int = 0
    reloads: int = 0
    killed_with: int = 0
    lost: list[str] = field(default_factory=list)
    killed: float = float("-inf")
    early: int = 0
    late: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether more is to be asked."""
        return self.answered < self.wanted

    def take(self, request: bytes, answer: bytes) -> None:
        """Count an answer."""
        self.answered += 1
        self.wrong += answer != self.due[request]

    def lose(self, why: str, began: float = math.inf) -> None:
        """Count a request that got no answer: with the killed worker, or for no good reason.

        One that takes long, and had begun before the kill, may be told of it later.
        """
        if min(began, time.monotonic()) - self.killed < KILL_SECONDS:
            self.killed_with += 1
        else:
            self.lost.append(why)

    def report(self) -> tuple[list[str], bool]:
        """Return what is printed, and whether all is as it should be."""
        growth = self.late / self.early
        in_hand = CONNECTIONS + CHANNELS * CALLS + 1  # which is a reload
        held = {
            f"wrong answers: {self.wrong}, none accepted": not self.wrong,
            f"lost: {len(self.lost)}, none accepted": not self.lost,
            f"lost with the killed worker: {self.killed_with}, at most the {in_hand} under way": (
                self.killed_with <= in_hand
            ),
            f"resident memory of the workers, of that after {EARLY_AT:.0%}: {growth:.3f}, at most "
            f"{MOST_GROWTH} accepted": growth <= MOST_GROWTH,
        }
        counted = (
            f"{self.answered:,} answers, {self.given_up:,} given up by clients, "
            f"{self.reloads:,} reloads of another model, one worker killed"
        )
        lines = [f"{what}: {'met' if met else 'NOT met'}" for what, met in held.items()]
        return [counted, *lines, *(f"lost: {why}" for why in self.lost[:5])], all(held.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it, and end with status 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("model_repository/rotmnist-c4-int8/1/model.onnx"),
        help="<repository>/<name>/<version>/model.onnx; one that is exact in every bit",
    )
    options = parser.parse_args(arguments)
    if options.workers < 2:
        parser.error("--workers: one is killed, so that at least 2 are accepted")
    try:
        under_test = open_model_under_test(options.model, None)
        lines, met = soak(under_test, options.requests, options.workers)
    except (ConfigurationError, ServerError) as error:
        sys.exit(str(error))
    print("\n".join([f"{describe_machine()}, {options.workers} workers", *lines]))
    sys.exit(0 if met else 1)


def soak(under_test: ModelUnderTest, requests: int, workers: int) -> tuple[list[str], bool]:
    """Run the service and all that happens to it; return the report."""
    setting = Setting(under_test, Path("build"), free_port(), free_port())
    launch = orbitserve(setting, workers=workers)
    allowed = {"ORBITSERVE_MODEL_CONTROL": "true"}
    with running(
        replace(launch, environment={**launch.environment, **allowed}), setting.port
    ) as server:
        return asyncio.run(_run(server, under_test, requests)).report()


async def _run(server: Server, under_test: ModelUnderTest, wanted: int) -> Soak:
    name = under_test.card.name
    by_http, by_grpc = oip_binary(name), oip_grpc(name)
    port, path = server.grpc_port, by_grpc.grpc
    if port is None or path is None:
        raise ServerError("It does not speak gRPC.")
    asked = check(by_http, server.port, under_test, 1)
    called = [each[5:] for each in check(by_grpc, port, under_test, 1)]
    due = {each: ask(server.port, each).body for each in asked}
    due |= {each: call(port, path, b"\0" * 5 + each).body[5:] for each in called}
    found = Soak(server, wanted, due)
    others = sorted(each.name for each in under_test.repository.iterdir() if each.name != name)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(_ask(found, asked))
        for _ in range(CHANNELS):
            tasks.create_task(_call(found, called, port, path))
        tasks.create_task(_disturb(found))
        if others:
            tasks.create_task(_reload(found, others[0]))
    found.late = _resident(server)
    return found


async def _ask(soak: Soak, requests: Sequence[bytes]) -> None:
    """Ask over one connection of HTTP, and another one when that has ended."""
    while soak.goes_on:
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", soak.server.port)
            while soak.goes_on:
                request = random.choice(requests)
                if random.random() < GIVEN_UP:
                    writer.write(request[: random.randint(1, len(request))])
                    soak.given_up += 1
                    break
                writer.write(request)
                status, body = await _answer(reader)
                if status == 200:
                    soak.take(request, body)
                else:
                    soak.lose(f"HTTP {status}: {body[:200].decode(errors='replace')}")
        except (OSError, asyncio.IncompleteReadError) as error:
            soak.lose(f"HTTP: {error!r}")
        finally:
            if writer is not None:
                await _close(writer)


async def _ask_once(port: int, request: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await _answer(reader)
    finally:
        await _close(writer)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _call(soak: Soak, requests: Sequence[bytes], port: int, path: str) -> None:
    """Call over one channel of gRPC."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        method: Any = channel.unary_unary(path)

        async def one_after_another() -> None:
            while soak.goes_on:
                request = random.choice(requests)
                calling = method(request, timeout=60, wait_for_ready=True)
                if random.random() < GIVEN_UP:
                    await asyncio.sleep(0)
                    calling.cancel()
                    soak.given_up += 1
                    continue
                try:
                    soak.take(request, await calling)
                except grpc.aio.AioRpcError as error:
                    soak.lose(f"gRPC {error.code().name}: {error.details()}")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLS):
                tasks.create_task(one_after_another())


async def _reload(soak: Soak, name: str) -> None:
    """Unload and load another model, again and again."""
    while soak.goes_on:
        for change in ("unload", "load"):
            head = f"POST /v2/repository/models/{name}/{change} HTTP/1.1\r\nHost: localhost\r\n"
            request = f"{head}Content-Length: 0\r\n\r\n".encode()
            began = time.monotonic()
            try:
                async with asyncio.timeout(LOAD_SECONDS):
                    status, body = await _ask_once(soak.server.port, request)
            except (OSError, asyncio.IncompleteReadError) as error:
                soak.lose(f"{change}: {error!r}", began)
            else:
                if status != 200:
                    soak.lose(f"{change}: {body.decode(errors='replace')}", began)
        soak.reloads += 1


async def _disturb(soak: Soak) -> None:
    """Kill a worker, and read the memory when all are there again."""
    await _until(soak, KILLED_AT)
    soak.killed = time.monotonic()
    os.kill(_workers(soak.server)[0], signal.SIGKILL)
    ready = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    while soak.goes_on:
        await asyncio.sleep(0.1)
        try:
            await asyncio.to_thread(ask, soak.server.port, ready)
        except ServerError:
            continue
        break
    await _until(soak, EARLY_AT)
    soak.early = _resident(soak.server)


async def _until(soak: Soak, part: float) -> None:
    while soak.answered < part * soak.wanted:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def _workers(server: Server) -> list[int]:
    """Return the processes that serve: the children of the one that was started."""
    children = Path(f"/proc/{server.process}/task/{server.process}/children").read_text()
    return [int(each) for each in children.split()]


def _resident(server: Server) -> int:
    return sum(
        int(Path(f"/proc/{each}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for each in _workers(server)
    )


if __name__ == "__main__":
    main()
