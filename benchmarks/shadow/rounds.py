"""Rounds in which a service without shadow audits and services with them take turns under load."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving import launchers, wrk
from benchmarks.serving.forms import oip_binary
from benchmarks.serving.launchers import Setting
from benchmarks.serving.model import Subject
from benchmarks.serving.rounds import check, say
from benchmarks.serving.server import Launch, ask, free_port, running
from benchmarks.serving.wrk import Load, LoadError
from benchmarks.shadow import open_loop

CONNECTIONS = 32
LOADS = ("open", "closed")
"""Requests at random times, and 32 connections that send one request after another."""

WITHOUT, CONTROL = "without", "without, again"


@dataclass(frozen=True)
class Counted:
    """What a server's shadow says of itself: images tried and images dropped."""

    trials: float
    dropped: float

    def since(self, before: "Counted") -> "Counted":
        """What was added."""
        return Counted(self.trials - before.trials, self.dropped - before.dropped)


@dataclass(frozen=True)
class Figure:
    """One load on one server, and what its shadow did meanwhile."""

    load: Load
    counted: Counted


Round = Mapping[tuple[str, str], Figure]
"""By load and server."""


@dataclass(frozen=True)
class Run:
    """Servers that are up together; one of them is under load at a time.

    Attributes
    ----------
    ports
        By the server's name: `WITHOUT`, `CONTROL`, or its share.
    rate
        Requests a second, of those at random times.
    """

    subject: Subject
    ports: Mapping[str, int]
    requests: Sequence[bytes]
    rate: float
    seconds: int

    def round(self, number: int) -> Round:
        """Load each server once each way; every other round goes backwards.

        Raises
        ------
        LoadError, ServerError
            Naming the server that did not answer as it should.
        """
        names = list(self.ports)[:: -1 if number % 2 else 1]
        return {(load, name): self._load(load, name, number) for load in LOADS for name in names}

    def _load(self, load: str, name: str, number: int) -> Figure:
        port = self.ports[name]
        before = counted(port)
        try:
            found = self._drive(load, port, number)
        except LoadError as error:
            raise LoadError(f"{load}, {name}: {error}") from error
        figure = Figure(found, counted(port).since(before))
        say(
            f"{load}, {name}: {found.rate:,.0f}/s, p50 {1000 * found.p50:.2f} ms, "
            f"p99 {1000 * found.p99:.2f} ms, {figure.counted.trials:,.0f} trials"
        )
        return figure

    def _drive(self, load: str, port: int, number: int) -> Load:
        seconds = self.seconds
        if load == "closed":
            return wrk.drive(port, self.requests, connections=CONNECTIONS, seconds=seconds)
        times = Random(number)  # the same ones for all servers of a round
        return open_loop.drive(port, self.requests, rate=self.rate, seconds=seconds, random=times)


@contextmanager
def prepared(
    subject: Subject, shares: Sequence[float], seconds: int, rate: float | None
) -> Iterator[Run]:
    """Start the servers, check their answers and warm them.

    Requests at random times come half as often as one connection gets answers, if no rate is given:
    one in two finds another one under way.

    Raises
    ------
    ServerError, WrongAnswerError, LoadError
        If one does not start, or does not answer as it should.
    """
    asked = {WITHOUT: 0.0, CONTROL: 0.0} | {f"{share:g}": share for share in shares}
    form = oip_binary(subject.card.name)
    with ExitStack() as stack:
        ports = {name: free_port() for name in asked}
        for name, share in asked.items():
            say(f"starting: {name}")
            stack.enter_context(running(_launch(subject, ports[name], share), ports[name]))
            requests = check(form, ports[name], subject, 1)
            wrk.drive(ports[name], requests, connections=CONNECTIONS, seconds=1)
        if rate is None:
            rate = wrk.drive(ports[WITHOUT], requests, connections=1, seconds=seconds).rate / 2
        yield Run(subject, ports, requests, rate, seconds)


def counted(port: int) -> Counted:
    """Read the counters of a server's shadow, of all models."""
    text = ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").body
    samples = [
        sample
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]

    def total(name: str) -> float:
        return sum(sample.value for sample in samples if sample.name == name)

    return Counted(
        total("orbitserve_shadow_trials_total"), total("orbitserve_shadow_dropped_total")
    )


def _launch(subject: Subject, port: int, share: float) -> Launch:
    launch = launchers.orbitserve(Setting(subject, Path(), port))
    more = {"ORBITSERVE_SHADOW_SHARE": str(share), "ORBITSERVE_POLL_SECONDS": "0"}
    return Launch(launch.command, {**launch.environment, **more}, launch.ready, launch.folder)
