"""Rounds in which a service whose shadow audits are switched on and off is loaded meanwhile."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving import launchers, wrk
from benchmarks.serving.formats import oip_binary
from benchmarks.serving.launchers import Setting
from benchmarks.serving.model import ModelUnderTest
from benchmarks.serving.rounds import check, say
from benchmarks.serving.server import Launch, ask, free_port, running
from benchmarks.serving.wrk import LoadError
from benchmarks.shadow import switched
from benchmarks.shadow.open_loop import Answered, drive, poisson
from benchmarks.shadow.switched import Switch, switch

CONNECTIONS = 32
OPEN, CLOSED = "random times", "32 connections"
LOADS = (OPEN, CLOSED)
"""Requests at random times, and 32 connections that send one request after another."""

WITHOUT, CONTROL, WITH = "without", "without, again", "with"
STATES = (WITHOUT, CONTROL, WITH)

PHASE = 0.25
"""Seconds at random times from one state to the next. A machine that others use is fast in one
second and slow in the next."""

GUARD = 0.01
"""Seconds after a switch of which nothing is counted: what went before may still be under way."""

CYCLES = 24
"""How often all three states come in a turn at random times, in each of their six orders equally
often."""

CLOSED_SECONDS = 3
"""Of one state under 32 connections, which are opened anew for each: all open at once, so that
their first requests are late, and these must be far fewer than one in a hundred."""

RATE_SECONDS = 3
"""For which one connection is measured."""

Latencies = NDArray[np.float64]
"""Of requests, in seconds, in no order."""


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
    """One load, in all states one after the other.

    Attributes
    ----------
    latencies
        By state.
    seconds
        For which each state was looked at.
    counted
        What the shadow did meanwhile.
    """

    latencies: Mapping[str, Latencies]
    seconds: float
    counted: Counted


Round = Mapping[tuple[str, str], Sequence[Turn]]
"""By load and share; equally many turns of each."""


@dataclass
class Run:
    """What is asked of every round.

    Attributes
    ----------
    turns
        How many turns each load has in a round.
    rate
        Requests a second, of those at random times. If None, half as many as one connection gets in
        the first round: one in two finds another one under way.
    burden
        Seconds for which every request keeps the service busy besides while audits are on: to see
        that it is noticed.
    """

    under_test: ModelUnderTest
    shares: Sequence[float]
    turns: int
    rate: float | None
    burden: float = 0.0

    def round(self, number: int) -> Round:
        """Start a service for each share anew, and load it each way.

        Raises
        ------
        ServerError, WrongAnswerError, LoadError
            Naming the share whose service did not start, or did not answer as it should.
        """
        found: dict[tuple[str, str], Sequence[Turn]] = {}
        for share in self.shares:
            try:
                for load, turns in self._share(share, number).items():
                    found[load, f"{share:g}"] = turns
            except LoadError as error:
                raise LoadError(f"share {share:g}: {error}") from error
        return found

    def _share(self, share: float, number: int) -> Mapping[str, Sequence[Turn]]:
        with self.started(share) as (port, shadow, requests):
            if self.rate is None:
                alone = wrk.drive(port, requests, connections=1, seconds=RATE_SECONDS)
                self.rate = alone.rate / 2
            found: dict[str, list[Turn]] = {load: [] for load in LOADS}
            for turn in range(number * self.turns, (number + 1) * self.turns):
                say(f"share {share:g}, turn {turn % self.turns + 1} of {self.turns}")
                before = counted(port)
                states = at_random_times(port, requests, self.rate, shadow, Random(turn))
                between = counted(port)
                seconds = CYCLES * (PHASE - GUARD)
                found[OPEN].append(Turn(states, seconds, between.since(before)))
                states = under_connections(port, requests, shadow, turn)
                after = counted(port).since(between)
                found[CLOSED].append(Turn(states, CLOSED_SECONDS, after))
            return found

    @contextmanager
    def started(self, share: float) -> Iterator[tuple[int, Switch, Sequence[bytes]]]:
        """Start a service, check its answers and warm it; also yield its switch and requests."""
        port = free_port()
        sent = oip_binary(self.under_test.card.name)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "switch")
            with switch(file) as shadow, running(self._launch(share, port, file), port):
                requests = check(sent, port, self.under_test, 1)
                wrk.drive(port, requests, connections=CONNECTIONS, seconds=1)
                yield port, shadow, requests

    def _launch(self, share: float, port: int, file: Path) -> Launch:
        launch = launchers.orbitserve(Setting(self.under_test, Path(), port))
        more = {
            "ORBITSERVE_SHADOW_SHARE": str(share),
            "ORBITSERVE_POLL_SECONDS": "0",
            switched.VARIABLE: str(file),
            switched.BURDEN: str(self.burden),
        }
        command = [sys.executable, "-m", switched.__name__]
        return Launch(command, {**launch.environment, **more}, launch.ready, launch.folder)


def at_random_times(
    port: int, requests: Sequence[bytes], rate: float, shadow: Switch, random: Random
) -> Mapping[str, Latencies]:
    """Send requests at random times, and switch meanwhile.

    In a cycle the times of all states are the same.
    """
    phases = [state for cycle in range(CYCLES) for state in in_turn(STATES, cycle)]
    times: list[float] = []
    for cycle in range(CYCLES):
        within = poisson(rate, PHASE, random)
        for phase in range(cycle * len(STATES), (cycle + 1) * len(STATES)):
            times += [PHASE * phase + at for at in within]

    def announce(seconds: float) -> None:
        shadow.turn(phases[phase_at(seconds)] == WITH)

    try:
        answered = drive(port, requests, times, announce)
    finally:
        shadow.turn(False)
    return by_state(answered, phases)


def under_connections(
    port: int, requests: Sequence[bytes], shadow: Switch, turn: int
) -> Mapping[str, Latencies]:
    """Load the service by `CONNECTIONS` that never rest, once in each state."""
    found = {}
    for state in in_turn(STATES, turn):
        shadow.turn(state == WITH)
        try:
            load = wrk.drive(port, requests, connections=CONNECTIONS, seconds=CLOSED_SECONDS)
        finally:
            shadow.turn(False)
        found[state] = load.latencies
    return found


def by_state(answered: Answered, phases: Sequence[str]) -> Mapping[str, Latencies]:
    """Sort latencies by the state in which they were due, without those just after a switch."""
    after = answered.due % PHASE
    states = np.array([phases[phase_at(due)] for due in answered.due])
    return {state: answered.latencies[(states == state) & (after >= GUARD)] for state in STATES}


def phase_at(seconds: float) -> int:
    """Return the index of the phase at so many seconds after the first one's beginning."""
    return int(seconds // PHASE)


def in_turn(names: Sequence[str], number: int) -> Sequence[str]:
    """Return who comes when: in twice as many turns as names each has each place twice."""
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
