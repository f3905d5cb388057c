"""What becomes known of one request while it is handled: for its log line, counters and trace."""

import math
import random
import re
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from starlette.types import Scope

from service.errors import Reason
from service.pending import Held, PendingBytes
from service.repository.statistics import Statistics
from service.repository.version import ServedModel

REQUEST_ID: Final = "X-Request-ID"

_ID_HEADER: Final = REQUEST_ID.lower().encode()
_LOGGED: Final = {"queue": "queue_ms", "inference": "inference_ms"}
_SAFE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Stage(NamedTuple):
    """One stretch of a request: its name, a point of `time.perf_counter`, and seconds."""

    name: str
    began: float
    seconds: float


class Timings:
    """The stages of one request, in the order in which they ended.

    Attributes
    ----------
    began
        When the request did, by `time.perf_counter`.
    engine
        Seconds of the wait for the engine and of its computing, if it was asked once and computed.
    """

    __slots__ = ("_asked", "began", "engine", "stages")

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.stages: list[Stage] = []
        self.engine: tuple[float, float] | None = None
        self._asked = False

    def stage(self, name: str) -> "_Timed":
        """Time what is done inside of the context that is returned; stages of one name add up."""
        return _Timed(self.stages, name)

    def add_engine(self, began: float, queued: float, computed: float) -> None:
        """Note how long images waited for the engine, and how long it computed if it did."""
        once, self._asked = not self._asked, True
        self.engine = (queued, computed) if once and computed else None
        if computed:
            self.stages.append(Stage("queue", began, queued))
            self.stages.append(Stage("inference", began + queued, computed))
        else:
            self.stages.append(Stage("queue", began, time.perf_counter() - began))

    @property
    def total(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.began

    def header(self) -> str:
        """Write the stages and the total, in milliseconds."""
        durations = {name: seconds for name, _, seconds in self.stages}
        if len(durations) < len(self.stages):
            durations = dict.fromkeys(durations, 0.0)
            for name, _, seconds in self.stages:
                durations[name] += seconds
        durations["total"] = self.total
        return ", ".join([f"{name};dur={1000 * s:.2f}" for name, s in durations.items()])


class _Timed:
    """A stage that goes on; a generator as a context manager would take three times as long."""

    __slots__ = ("_began", "_name", "_stages")

    def __init__(self, stages: list[Stage], name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        began = self._began
        self._stages.append(Stage(self._name, began, time.perf_counter() - began))


def _unbounded() -> Held:
    return Held(PendingBytes(sys.maxsize))


@dataclass(slots=True)
class Call:
    """One request, from its head to its answer.

    Attributes
    ----------
    deadline
        A point of `time.monotonic` after which no one waits for the answer.
    held
        What it holds of the memory that all requests share.
    model, version, rows
        Who is asked, and about how many images, once that is known.
    statistics
        Where it is counted, if it is an inference.
    key
        Name of the API key that it came with.
    refusal
        Why it got no answer to what it asked.
    under_way
        All requests that the server has begun to read and not ended, this one among them; None
        where that is not known.
    """

    deadline: float = math.inf
    held: Held = field(default_factory=_unbounded)
    timings: Timings = field(default_factory=Timings)
    model: str | None = None
    version: int | None = None
    rows: int | None = None
    statistics: Statistics | None = None
    key: str | None = None
    refusal: Reason | None = None
    under_way: Collection[object] | None = None

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Return the call that `service.http.middleware.Middleware` has begun."""
        call: Self = scope["state"]["call"]
        return call

    def asks(self, model: ServedModel) -> None:
        """Note which version it asks."""
        self.model, self.version = model.card.name, model.card.version

    def asks_to_infer(self, model: ServedModel) -> None:
        """Note which version it asks for an inference, to be counted with it."""
        self.asks(model)
        self.statistics = model.statistics

    @property
    def alone(self) -> bool:
        """Whether it is known to be the only request there is."""
        return self.under_way is not None and len(self.under_way) == 1

    def known(self) -> dict[str, Any]:
        """Return what a log line tells of it; durations in milliseconds."""
        found: dict[str, Any] = {"ms": self.timings.total}
        for stage, _, seconds in self.timings.stages:
            name = _LOGGED.get(stage)
            if name is not None:
                found[name] = found.get(name, 0.0) + seconds
        for name, seconds in found.items():
            found[name] = round(1e6 * seconds) / 1000
        if self.model is not None:
            found["model"] = self.model
        if self.version is not None:
            found["version"] = self.version
        if self.rows is not None:
            found["rows"] = self.rows
        if self.key is not None:
            found["key"] = self.key
        if self.refusal is not None:
            found["refusal"] = self.refusal
        return found

    def end(self) -> None:
        """Count the call with the model that it asked."""
        if self.statistics is None:
            return
        if self.refusal is None:
            self.statistics.answered(self.timings.total, self.rows or 0)
        else:
            self.statistics.refused(self.timings.total, self.refusal)


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return a client's own `X-Request-ID` if it is safe to write into a log, else a new one."""
    own = headers.get(_ID_HEADER)
    if own is not None and _SAFE_ID.fullmatch(own):
        return own.decode("ascii")
    # Unique, and no secret: asking the system for random bytes would be a call of it a request.
    return f"{random.getrandbits(128):032x}"
