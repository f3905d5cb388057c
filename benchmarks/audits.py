"""Audits beside the bare session: images a second, and what classification feels of them.

Run ``python -m benchmarks.audits``. What counts is every image that the session classifies for an
audit: upright, rotated, rotated back, again for the noise floor, and those of the self-tests, among
them the mutant's. The bare session runs batches of the same size just before and after each audit,
and a bar is held by the median of the rounds' ratios. The mutant is opened once for a model, in the
first round, which is not counted.

Latencies are those of single images that come at a steady rate, from when they are due to the end
of their answer, through the whole application but for the socket.
"""

import argparse
import asyncio
import io
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from audit import AnglePlan, ResolvedOptions, Thresholds
from benchmarks.machine import describe_machine
from benchmarks.models import images_per_second
from benchmarks.serving.bars import Bar
from service.app import create_app
from service.audits.run import audit_model
from service.engine.providers import CPU, start
from service.repository.local import open_model
from service.repository.version import ServedModel
from service.settings import Settings

BATCH: Final = 64
"""Images that an audit has classified at once."""

ANGLES: Final = 36


@dataclass(frozen=True)
class Figure:
    """One audit beside the bare session.

    Attributes
    ----------
    classified
        Images that the session ran over.
    rotated
        Those among them that are images of the set at an angle of the audit, the upright included:
        what is left without noise floor, control and self-tests.
    seconds
        From the question to the report.
    running
        How long of that the session ran.
    bare
        Images a second of the bare session.
    """

    classified: int
    rotated: int
    seconds: float
    running: float
    bare: float

    @property
    def ratio(self) -> float:
        """Of the images a second that the session alone would classify."""
        return self.classified / self.seconds / self.bare


@dataclass(frozen=True)
class Waits:
    """Latencies in seconds, without an audit and during one."""

    quiet: Sequence[float]
    during: Sequence[float]


def main() -> None:
    """Measure, then print what was found and the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="rotmnist-c4")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of the bare session, each time")
    parser.add_argument("--rate", type=float, default=20.0, help="images a second to classify")
    parser.add_argument("--requests", type=int, default=400, help="with an audit and without one")
    options = parser.parse_args()

    settings = Settings(device="cpu", repository=options.repository, default_model=options.model)
    orbit, angles = audits(options.model, settings, options.rounds, options.seconds)
    waits = asyncio.run(latencies(settings, options.rate, options.requests))
    print(f"{describe_machine()}; `{options.model}`, batches of {BATCH}\n")
    for line in (*table(orbit, angles), *told(waits)):
        print(line)
    for bar in bars(orbit, angles, waits):
        print(f"bar: {bar}")


def audits(
    name: str, settings: Settings, rounds: int, seconds: float
) -> tuple[list[Figure], list[Figure]]:
    """Audit the bundled images over their quarter turns, and at 36 angles too, in turns."""
    model = open_model(name, settings)
    model.session.observers.append(model.statistics)  # as the service does when it serves it
    session = start(model.read_graph(), CPU, model.session.threads)
    images = model.audit_set().images
    batch, count = images[:BATCH], len(images)

    def measured(plan: AnglePlan | None) -> Figure:
        before = images_per_second(session, batch, seconds)
        counted, began = replace(model.statistics.audited), time.perf_counter()
        report = audit_model(model, asked(model, plan))
        spent = time.perf_counter() - began
        after = images_per_second(session, batch, seconds)
        elements = len(report.figures.elements) + 1
        return Figure(
            classified=model.statistics.audited.count - counted.count,
            rotated=count * (elements + (0 if plan is None else plan.count)),
            seconds=spent,
            running=(model.statistics.audited.ns - counted.ns) / 1e9,
            bare=(before + after) / 2,
        )

    orbit: list[Figure] = []
    angles: list[Figure] = []
    for number in range(1 + rounds):
        print(f"round {number}", file=sys.stderr)
        for plan, found in ((None, orbit), (AnglePlan(ANGLES), angles)):
            if number:
                found.append(measured(plan))
            elif plan is None:
                measured(plan)  # opens the mutant, and warms everything
    model.session.close()
    return orbit, angles


def asked(model: ServedModel, plan: AnglePlan | None) -> ResolvedOptions:
    """Return what the service asks where nothing is said, at angles too if there is a plan."""
    card = model.card
    return ResolvedOptions(card.audit.group, Thresholds.of(card.precision), angles=plan)


async def latencies(settings: Settings, rate: float, requests: int) -> Waits:
    """Classify single images at a steady rate, alone and while audits at 36 angles run."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        repository = app.state.data_plane.repository
        await repository.started.wait()
        model = repository.find()
        body = _npy(model.audit_set().images[0])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def classify() -> None:
                headers = {"Content-Type": "application/x-npy"}
                answer = await client.post("/classify", content=body, headers=headers)
                answer.raise_for_status()

            async def audit() -> None:
                path = f"/models/{model.card.name}/audit?angles={ANGLES}"
                (await client.post(path, timeout=None)).raise_for_status()

            await steadily(classify, rate, requests // 4)
            quiet = await steadily(classify, rate, requests)
            before = model.statistics.audited.count
            auditing = asyncio.ensure_future(_again_and_again(audit))
            await _holds(lambda: model.statistics.audited.count > before)
            during = await steadily(classify, rate, requests)
            auditing.cancel()
            await asyncio.gather(auditing, return_exceptions=True)
    return Waits(quiet, during)


async def steadily(call: Callable[[], Awaitable[None]], rate: float, count: int) -> list[float]:
    """Make calls when they are due, however long others take; return each one's seconds."""
    begun = time.perf_counter()

    async def timed(due: float) -> float:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await call()
        return time.perf_counter() - due

    return list(await asyncio.gather(*(timed(begun + i / rate) for i in range(count))))


async def _holds(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it is counted on another thread
        await asyncio.sleep(0.01)


async def _again_and_again(call: Callable[[], Awaitable[None]]) -> None:
    while True:
        await call()


def percentile(seconds: Sequence[float], percent: float) -> float:
    """Return the value that so many percent do not exceed, by nearest rank."""
    return float(np.percentile(np.asarray(seconds), percent, method="inverted_cdf"))


def table(orbit: Sequence[Figure], angles: Sequence[Figure]) -> list[str]:
    """Return a Markdown table, medians of the rounds."""
    lines = [
        "| audit | images classified | a second | of the bare session's | the session ran | images "
        "at an angle, a second |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, figures in (("quarter turns", orbit), (f"and {ANGLES} angles", angles)):
        lines.append(
            f"| {name} | {figures[0].classified:,} "
            f"| {_median(figure.classified / figure.seconds for figure in figures):,.0f} "
            f"| {_median(figure.ratio for figure in figures):.2f} "
            f"| {_median(figure.running / figure.seconds for figure in figures):.0%} of the time "
            f"| {_median(figure.rotated / figure.seconds for figure in figures):,.0f} |"
        )
    return lines


def told(waits: Waits) -> list[str]:
    """Return the latencies in sentences."""
    return [
        "",
        *(
            f"{name}: p50 {1000 * percentile(seconds, 50):.1f} ms, p99 "
            f"{1000 * percentile(seconds, 99):.1f} ms, longest {1000 * max(seconds):.1f} ms"
            for name, seconds in (("without an audit", waits.quiet), ("during", waits.during))
        ),
        "",
    ]


def bars(orbit: Sequence[Figure], angles: Sequence[Figure], waits: Waits) -> list[Bar]:
    """Hold what was measured against what is required."""
    batch = BATCH / _median(figure.bare for figure in (*orbit, *angles))
    longer = percentile(waits.during, 99) - percentile(waits.quiet, 99)
    return [
        Bar(
            "images/s of an audit over quarter turns, of the bare session's",
            _median(figure.ratio for figure in orbit),
            "at least",
            0.9,
        ),
        Bar(
            f"images/s of an audit at {ANGLES} angles too, of the bare session's",
            _median(figure.ratio for figure in angles),
            "at least",
            0.9,
        ),
        # A request waits for the batch of the audit that runs, and now and then for one more.
        Bar(
            f"p99 of classification during an audit, later by so many batches of {BATCH}",
            longer / batch,
            "at most",
            2.0,
        ),
    ]


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


if __name__ == "__main__":
    main()
