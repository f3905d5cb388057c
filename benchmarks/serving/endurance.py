"""What only this service is asked: whether its memory grows, and how soon it is ready."""

from dataclasses import dataclass

from benchmarks.serving import wrk
from benchmarks.serving.formats import Format
from benchmarks.serving.rounds import CONNECTIONS, Case, Run, check, say
from benchmarks.serving.server import Server
from benchmarks.serving.systems import System

SLICE_SECONDS = 2


@dataclass(frozen=True)
class Memory:
    """Resident bytes once at least `early` and `late` requests had been answered."""

    format: str
    early: int
    late: int
    early_bytes: int
    late_bytes: int


def memory(run: Run, system: System, early: int, late: int) -> Memory | None:
    """Send ``late`` requests in the first format that is answered; None where none is."""
    with run.serving(system) as server:
        for sent in system.formats(run.under_test.card.name):
            timed = Case(system.name, sent.name, 1, CONNECTIONS[-1])
            if str(timed) not in run.refused:
                say(f"{system.name}: memory over {late:,} requests")
                return _observe(run, server, sent, early, late)
    return None


def _observe(run: Run, server: Server, sent: Format, early: int, late: int) -> Memory:
    requests, answered, readings = check(sent, server.port, run.under_test, 1), 0, []
    for wanted in (early, late):
        while answered < wanted:
            load = wrk.drive(
                server.port, requests, connections=CONNECTIONS[-1], seconds=SLICE_SECONDS
            )
            answered += load.requests
        readings.append(server.resident_bytes())
    return Memory(sent.name, early, late, *readings)


def readiness(run: Run, system: System, times: int) -> list[float]:
    """Start the service again and again; return the seconds until its probe answered 200."""
    seconds = []
    for number in range(times):
        with run.serving(system) as server:
            say(f"{system.name}: ready in {server.ready_seconds:.2f} s ({number + 1} of {times})")
            seconds.append(server.ready_seconds)
    return seconds
