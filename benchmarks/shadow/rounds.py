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


@dataclass
class Run:
    """What is asked of every round.

    Attributes
    ----------
    rate
        Requests a second, of those at random times. If None, half as many as one connection gets in
        the first round: one in two finds another one under way.
    """

    subject: Subject
    shares: Sequence[float]
    seconds: int
    rate: float | None

    def round(self, number: int) -> Round:
        """Start the servers, and load each of them once each way, one after the other.

        No two processes of one program are equally fast, nor is a place in a round like another:
        the servers are started anew for each, and who is first changes from one to the next.

        Raises
        ------
        ServerError, WrongAnswerError, LoadError
            Naming the server that did not start, or did not answer as it should.
        """
        with self._started() as (ports, requests):
            if self.rate is None:
                lone = wrk.drive(ports[WITHOUT], requests, connections=1, seconds=self.seconds)
                self.rate = lone.rate / 2
            names = in_turn([*ports], number)
            return {
                (load, name): self._load(load, name, ports[name], requests, number)
                for load in LOADS
                for name in names
            }

    @contextmanager
    def _started(self) -> Iterator[tuple[Mapping[str, int], Sequence[bytes]]]:
        """Start the servers, check their answers and warm them: their ports, and what they get."""
        asked = {WITHOUT: 0.0, CONTROL: 0.0} | {f"{share:g}": share for share in self.shares}
        form = oip_binary(self.subject.card.name)
        with ExitStack() as stack:
            ports = {name: free_port() for name in asked}
            for name, share in asked.items():
                launch = _launch(self.subject, ports[name], share)
                stack.enter_context(running(launch, ports[name]))
                requests = check(form, ports[name], self.subject, 1)
                wrk.drive(ports[name], requests, connections=CONNECTIONS, seconds=1)
            yield ports, requests

    def _load(
        self, load: str, name: str, port: int, requests: Sequence[bytes], number: int
    ) -> Figure:
        before = counted(port)
        try:
            found = self._drive(load, port, requests, number)
        except LoadError as error:
            raise LoadError(f"{load}, {name}: {error}") from error
        figure = Figure(found, counted(port).since(before))
        say(
            f"{load}, {name}: {found.rate:,.0f}/s, p50 {1000 * found.p50:.2f} ms, "
            f"p99 {1000 * found.p99:.2f} ms, {figure.counted.trials:,.0f} trials"
        )
        return figure

    def _drive(self, load: str, port: int, requests: Sequence[bytes], number: int) -> Load:
        seconds = self.seconds
        if load == "closed" or self.rate is None:
            return wrk.drive(port, requests, connections=CONNECTIONS, seconds=seconds)
        times = Random(number)  # the same ones for all servers of a round
        return open_loop.drive(port, requests, rate=self.rate, seconds=seconds, random=times)


def in_turn(names: Sequence[str], number: int) -> Sequence[str]:
    """Return the order of a round: over as many rounds as names each has each place once."""
    start = number % len(names)
    order = [*names[start:], *names[:start]]
    return order[::-1] if number // len(names) % 2 else order


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
