"""Rounds in which all systems take turns, one of them running at a time."""

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from artifact.contract import INPUT, PROBABILITIES
from benchmarks.serving import h2load, wrk
from benchmarks.serving.environments import InstallError, prepare
from benchmarks.serving.formats import Format
from benchmarks.serving.launchers import Setting
from benchmarks.serving.model import ModelUnderTest
from benchmarks.serving.server import Server, ServerError, ask, call, free_port, running
from benchmarks.serving.systems import System

BARE, MEMORY = "bare session", "in memory"
LARGE, LARGE_CONNECTIONS = 32, 4
"""Images in a large request, and how many connections send them: one waits while one runs."""

CONNECTIONS = (1, 32)


class WrongAnswerError(RuntimeError):
    """A system answers other labels than the bare session; the message is one sentence."""


@dataclass(frozen=True)
class Case:
    """What is timed: images a request, in a format, over connections, to a system."""

    system: str
    format: str
    images: int
    connections: int

    def __str__(self) -> str:
        return f"{self.system}, {self.format} x {self.images}, {self.connections} connection(s)"


@dataclass(frozen=True)
class Figure:
    """What was timed: images a second, and the median latency in seconds."""

    images_per_second: float
    p50: float


Round = dict[Case, Figure]


@dataclass
class Run:
    """All rounds of one run; what failed once is not tried again, and says why.

    Attributes
    ----------
    environments
        Where the environments of the systems are kept.
    connections
        Over how many single images are asked about.
    large
        Whether large requests are timed too, where a format takes them.
    refused
        The reason for each system, or each case of one, that is not timed.
    """

    under_test: ModelUnderTest
    environments: Path
    seconds: int
    connections: Sequence[int] = CONNECTIONS
    large: bool = True
    refused: dict[str, str] = field(default_factory=dict)

    def install(self, systems: list[System]) -> None:
        """Make the environment of each system that needs one."""
        for system in systems:
            if system.requirements:
                say(f"{system.name}: environment")
                try:
                    prepare(self.environments / system.name, system.requirements)
                except (InstallError, OSError) as error:
                    self._refuse(system.name, str(error))

    def round(self, systems: list[System]) -> Round:
        """Measure the bare session and each system once."""
        figures = {}
        for size in (1, LARGE) if self.large else (1,):
            case, figure = Case(BARE, MEMORY, size, 1), bare(self.under_test, size, self.seconds)
            figures[case] = _said(case, figure)
        for system in systems:
            if system.name not in self.refused:
                try:
                    with self.serving(system) as server:
                        figures |= dict(self._measure(system, server))
                except ServerError as error:
                    self._refuse(system.name, str(error))
        return figures

    def serving(self, system: System) -> AbstractContextManager[Server]:
        """Start a system on a free port."""
        folder = self.environments / system.name
        setting = Setting(self.under_test, folder, free_port(), free_port())
        return running(system.launch(setting), setting.port)

    def _measure(self, system: System, server: Server) -> Iterator[tuple[Case, Figure]]:
        for sent in system.formats(self.under_test.card.name):
            cases = [Case(system.name, sent.name, 1, number) for number in self.connections]
            if sent.many and self.large:
                cases.append(Case(system.name, sent.name, LARGE, LARGE_CONNECTIONS))
            for case in cases:
                if str(case) not in self.refused:
                    try:
                        port = server.port if sent.grpc is None else server.grpc_port
                        if port is None:
                            raise ServerError("it does not speak gRPC")
                        figure = time_case(case, sent, port, self.under_test, self.seconds)
                    except (ServerError, WrongAnswerError, wrk.LoadError) as error:
                        self._refuse(str(case), str(error))
                    else:
                        yield case, _said(case, figure)

    def _refuse(self, what: str, reason: str) -> None:
        say(f"{what}: {reason}")
        self.refused[what] = reason


def time_case(
    case: Case, sent: Format, port: int, under_test: ModelUnderTest, seconds: int
) -> Figure:
    """Check a server's labels, warm it with the load that is then timed, and time it.

    Raises
    ------
    ServerError, WrongAnswerError, LoadError
        If it does not answer, answers wrong, or not always.
    """
    requests = check(sent, port, under_test, case.images)
    for duration in (max(1, seconds // 2), seconds):
        if sent.grpc is None:
            load = wrk.drive(port, requests, connections=case.connections, seconds=duration)
        else:
            due = len(call(port, sent.grpc, requests[0]).body)
            load = h2load.drive(
                port, sent.grpc, requests[0], due, connections=case.connections, seconds=duration
            )
    return Figure(load.rate * case.images, load.p50)


def check(sent: Format, port: int, under_test: ModelUnderTest, size: int) -> list[bytes]:
    """Ask about every image, ``size`` a request, and return the requests if all labels are right.

    Raises
    ------
    ServerError
        If a request gets no answer or another status than 200.
    WrongAnswerError
        If a label is not the bare session's, or an answer cannot be read.
    """
    requests = []
    for i in range(0, len(under_test.images), size):
        asked = under_test.files[i] if sent.of_files else under_test.images[i : i + size]
        requests.append(sent.encode(asked))
        answer = (
            ask(port, requests[-1]) if sent.grpc is None else call(port, sent.grpc, requests[-1])
        )
        try:
            labels = sent.labels(answer)
        except (LookupError, ValueError, StopIteration, TypeError) as error:
            raise WrongAnswerError(f"the answer {answer.body[:80]!r} is not understood") from error
        due = under_test.labels[i : i + size]
        if labels != due:
            raise WrongAnswerError(
                f"image {i} and those after it: labels {labels} where the bare session says {due}"
            )
    return requests


def bare(under_test: ModelUnderTest, size: int, seconds: float) -> Figure:
    """Run the session without any server on batches of ``size``."""
    batch, session = under_test.images[:size], under_test.session
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds
    while (now := time.perf_counter()) < deadline:
        session.run([PROBABILITIES], {INPUT: batch})
        latencies.append(time.perf_counter() - now)
    return Figure(len(latencies) * size / sum(latencies), statistics.median(latencies))


def _said(case: Case, figure: Figure) -> Figure:
    say(f"{case}: {figure.images_per_second:,.0f} images/s, p50 {1000 * figure.p50:.2f} ms")
    return figure


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)
