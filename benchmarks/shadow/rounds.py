"""Rounds in which a service without shadow audits and services with them take turns under load."""

import time
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
from benchmarks.serving.server import Launch, Server, ask, asleep, awake, free_port, running
from benchmarks.serving.wrk import Load, LoadError
from benchmarks.shadow import open_loop

CONNECTIONS = 32
LOADS = ("open", "closed")
"""Requests at random times, and 32 connections that send one request after another."""

WITHOUT, CONTROL = "without", "without, again"

SECONDS: Mapping[str, int] = {"open": 1, "closed": 3}
"""Of a turn, by its load. A machine that others use is fast in one minute and slow in the next, so
turns are short; but 32 connections that open at once are late with their first requests, all of
them, and these must be far fewer than one in a hundred."""

RATE_SECONDS = 3
"""For which one connection is measured."""

STRETCH = 0.02
"""Seconds for a server to come to itself before its turn begins."""


@dataclass(frozen=True)
class Counted:
    """What a server's shadow says of itself: images tried and images dropped."""

    trials: float
    dropped: float

    def since(self, before: "Counted") -> "Counted":
        """What was added."""
        return Counted(self.trials - before.trials, self.dropped - before.dropped)


@dataclass(frozen=True)
class Turn:
    """One load on one server, and what its shadow did meanwhile."""

    load: Load
    counted: Counted


Round = Mapping[tuple[str, str], Sequence[Turn]]
"""By load and server: equally many turns of each, the n-th of one beside the n-th of another."""


@dataclass
class Run:
    """What is asked of every round.

    Attributes
    ----------
    turns
        How often in a round each server gets each load.
    rate
        Requests a second, of those at random times. If None, half as many as one connection gets in
        the first round: one in two finds another one under way.
    """

    subject: Subject
    shares: Sequence[float]
    turns: int
    rate: float | None

    def round(self, number: int) -> Round:
        """Start the servers, and load each of them each way, in turn.

        No two processes of one program are equally fast, and the first one may be so for that: they
        are started anew for each round, in another order. All but the one whose turn it is are
        stopped, since a shadow goes on when its turn is over.

        Raises
        ------
        ServerError, WrongAnswerError, LoadError
            Naming the server that did not start, or did not answer as it should.
        """
        with self._started(number) as (servers, requests):
            if self.rate is None:
                with awake(servers[WITHOUT]):
                    self.rate = (
                        wrk.drive(
                            servers[WITHOUT].port, requests, connections=1, seconds=RATE_SECONDS
                        ).rate
                        / 2
                    )
            found: dict[tuple[str, str], list[Turn]] = {
                (load, name): [] for load in LOADS for name in servers
            }
            for turn in range(number * self.turns, (number + 1) * self.turns):
                say(f"turn {turn % self.turns + 1} of {self.turns}")
                for load in LOADS:
                    for name in in_turn([*servers], turn):
                        found[load, name].append(
                            self._turn(load, name, servers[name], requests, turn)
                        )
            return found

    @contextmanager
    def _started(self, number: int) -> Iterator[tuple[Mapping[str, Server], Sequence[bytes]]]:
        """Start the servers, check their answers, warm and stop them; also what they get."""
        asked = {WITHOUT: 0.0, CONTROL: 0.0} | {f"{share:g}": share for share in self.shares}
        form = oip_binary(self.subject.card.name)
        with ExitStack() as stack:
            servers = {}
            for name in in_turn([*asked], number):
                port = free_port()
                servers[name] = stack.enter_context(
                    running(_launch(self.subject, port, asked[name]), port)
                )
                requests = check(form, port, self.subject, 1)
                wrk.drive(port, requests, connections=CONNECTIONS, seconds=1)
                stack.enter_context(asleep(servers[name]))
            yield servers, requests

    def _turn(
        self, load: str, name: str, server: Server, requests: Sequence[bytes], turn: int
    ) -> Turn:
        with awake(server):
            time.sleep(STRETCH)
            before = counted(server.port)
            try:
                found = self._drive(load, server.port, requests, turn)
            except LoadError as error:
                raise LoadError(f"{load}, {name}: {error}") from error
            return Turn(found, counted(server.port).since(before))

    def _drive(self, load: str, port: int, requests: Sequence[bytes], turn: int) -> Load:
        seconds = SECONDS[load]
        if load == "closed" or self.rate is None:
            return wrk.drive(port, requests, connections=CONNECTIONS, seconds=seconds)
        times = Random(turn)  # the same ones for all servers
        return open_loop.drive(port, requests, rate=self.rate, seconds=seconds, random=times)


def in_turn(names: Sequence[str], number: int) -> Sequence[str]:
    """Return who comes when: in as many turns as there are names each has each place once."""
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
