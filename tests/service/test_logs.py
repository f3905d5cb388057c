"""Log lines say what happened in one shape, and no more than that."""

import asyncio
import io
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.errors import REASONS
from service.metrics.call import Call, Timings
from service.metrics.logs import Output, _Unfailing, configure_logs, escape, renderers
from service.metrics.request_lines import RequestLines
from service.metrics.request_text import Clock, line_of, text_for
from service.settings import Settings
from tests.service.processes import NPY, npy

Logged = Callable[[], list[dict[str, Any]]]


async def requests(logged: Logged) -> list[dict[str, Any]]:
    await asyncio.sleep(0)  # they are written when the event loop comes round
    return [line for line in logged() if line["event"] == "request"]


def test_what_libraries_log_has_the_same_shape(logged: Logged) -> None:
    structlog.get_logger().info("ours", size=3)
    logging.getLogger("uvicorn.error").info("theirs %d", 4)
    ours, theirs = logged()
    assert (ours["event"], ours["size"], theirs["event"]) == ("ours", 3, "theirs 4")
    assert ours.keys() - {"size"} == theirs.keys()


def test_a_traceback_is_logged_without_the_local_variables(logged: Logged) -> None:
    try:
        image_of_a_client = "secret"
        raise ValueError(len(image_of_a_client))
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = logged()
    assert line["exception"][0]["exc_type"] == "ValueError"
    assert "secret" not in str(line)


@pytest.mark.usefixtures("logged")
def test_a_stream_that_fails_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=full, flush=full))
    configure_logs("json", "info")
    structlog.get_logger().error("lost")


values = st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(["path", "model", "ms", "key"]), values), st.text())
def test_plain_lines_are_those_of_structlogs_console(fields: dict[str, Any], event: str) -> None:
    """But for what a terminal would obey, or a reader would take for another line."""
    line = {"timestamp": "2026-11-28T21:00:00Z", "level": "info", "event": event, **fields}
    (plain,) = renderers("console")
    written = plain(None, "info", dict(line))
    assert written.isprintable()
    known = {
        name: escape(value) if isinstance(value, str) else value for name, value in line.items()
    }
    assert written == structlog.dev.ConsoleRenderer(colors=False)(None, "info", known)


HEAD = {"method": "POST", "path": "/classify", "status": 200, "trace_id": None}
ANSWERED = Call(model="m", version=1, rows=2)
ANSWERED.timings.add_engine(0.0, 0.25, 0.5)
TIME = "2026-11-28T21:00:00.5Z"


def assert_as_by_structlog(
    style: Any, calls: Sequence[tuple[Call, Mapping[str, Any]]], worker: int | None = None
) -> None:
    """Write the lines of calls that end in one round, each a call and what else is said of it."""
    processors = renderers(style)
    text = text_for(Output(_Unfailing(io.StringIO()), processors[-1], worker))
    assert text is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Timings, "total", 12.3456)
        patch.setattr(Clock, "iso", lambda _: TIME)
        for number, (call, said) in enumerate(calls):
            text.add(call, "info", f"id-{number}", **{**HEAD, **said})
        found = text.take()
        due = [
            as_by_structlog(processors, worker, line_of(call, f"id-{number}", **{**HEAD, **said}))
            for number, (call, said) in enumerate(calls)
        ]
    assert found == due
    assert not text.take()


def as_by_structlog(processors: Sequence[Any], worker: int | None, line: Any) -> Any:
    line |= {} if worker is None else {"worker": worker}
    line |= {"level": "info", "timestamp": TIME}
    for processor in processors:
        line = processor(None, "info", line)
    return line


STYLES = pytest.mark.parametrize("style", ["console", "json"])
names, numbers, seconds = st.text(max_size=8), st.integers(1, 64), st.floats(0, 1e6)
calls = st.builds(
    Call,
    model=st.none() | names,
    version=st.none() | numbers,
    rows=st.none() | numbers,
    key=st.none() | names,
    refusal=st.none() | st.sampled_from(REASONS),
)
answered = st.builds(Call, model=names, version=numbers, rows=numbers, key=st.none() | names)
said = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["POST", "gRPC", "M SEARCH"]),
        "path": st.text(alphabet=st.characters(codec="utf-8")) | st.just("/classify"),
        "status": st.sampled_from([0, 200, 503, "OK"]),
        "trace_id": st.none() | st.just("4bf92f3577b34da6a3ce929d0e0e4736"),
    }
)
engines = st.lists(st.tuples(seconds, seconds), max_size=2)


@STYLES
@given(
    ended=st.lists(st.tuples(answered | calls, engines, said), max_size=4),
    worker=st.none() | numbers,
)
def test_the_line_of_a_request_is_in_every_byte_what_structlog_would_write(
    style: Any, ended: list[tuple[Call, list[tuple[float, float]], Any]], worker: int | None
) -> None:
    for call, engine, _ in ended:
        for queued, computed in engine:
            call.timings.add_engine(0.0, queued, computed)
    assert_as_by_structlog(style, [(call, said) for call, _, said in ended], worker)


@STYLES
def test_so_it_is_with_each_character_and_with_each_field_more_or_less(style: Any) -> None:
    for text in [*map(chr, [*range(0x180), 0x2028, 0x202E, 0xFFFD, 0x1F600]), "= ", " b=c"]:
        assert_as_by_structlog(style, [(ANSWERED, {"path": f"/a{text}b"})])
        assert_as_by_structlog(style, [(replace(ANSWERED, key=f"a{text}b"), {})])
    refused = replace(ANSWERED, refusal="cancelled")
    assert_as_by_structlog(style, [(each, {}) for each in (ANSWERED, refused, ANSWERED)])
    for fields in ({}, {"key": ""}, {"refusal": "cancelled"}, {"model": None}, {"rows": None}):
        call = replace(ANSWERED, **fields)  # type: ignore[arg-type]
        for more in ({}, {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}):
            assert_as_by_structlog(style, [(call, more)], worker=2)


@given(st.integers(0, 4_000_000_000_000_000_000) | st.just(1_700_000_000_000_000_999))
def test_the_time_of_a_request_is_written_as_structlog_writes_it(nanoseconds: int) -> None:
    clock, before = Clock(), datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.metrics.request_text.time.time_ns", lambda: nanoseconds)
        found = [clock.iso(), clock.iso()]
    second, rest = divmod(nanoseconds, 10**9)
    due = datetime.fromtimestamp(second, UTC).replace(microsecond=rest // 1000)
    assert found == [due.isoformat().replace("+00:00", "Z")] * 2
    assert before <= datetime.fromisoformat(Clock().iso()) <= datetime.now(UTC)


def lines_of(calls: int, style: Any, colours: bool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what so many calls write to a stream, in one round of the event loop."""
    stream = io.StringIO()
    stream.isatty = lambda: colours  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs(style, "info", worker=3)

    async def write() -> None:
        lines = RequestLines(Settings())
        for number in range(calls):
            call = Call(model="m", version=1, rows=1)
            call.timings.add_engine(0.0, 0.25, 0.5)
            lines.write(call, f"ms-{number}-", method="POST", path="/a b", status=200)
        assert not stream.getvalue()

    asyncio.run(write())
    return stream.getvalue().splitlines()


@pytest.mark.usefixtures("logged")
def test_lines_of_a_round_are_all_written_though_the_event_loop_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for style, colours in (("json", False), ("console", False), ("console", True)):
        found = lines_of(3, style, colours, monkeypatch)
        assert len(found) == 3
        assert all(f"ms-{number}-" in line for number, line in enumerate(found))
        assert all("worker" in line for line in found)
        assert all(("\x1b[" in line) == colours for line in found)


def test_no_client_writes_to_the_terminal_through_a_line() -> None:
    line: Any = {"event": "failed", "path": "/\x1b]0;title\x07\n[info] forged"}
    try:
        raise ValueError("\x1b[2J\u202e")
    except ValueError as error:
        line["exc_info"] = error
    for processor in renderers("console"):
        line = processor(None, "error", line)
    text = str(line)
    assert "ValueError: \\x1b[2J\\u202e" in text
    assert not any(each in text for each in ("\x1b", "\x07", "\u202e"))
    assert not any(line.startswith("[info] forged") for line in text.splitlines())


@pytest.mark.anyio
async def test_the_line_of_a_request_says_who_was_asked_and_where_the_time_went(
    client: httpx.AsyncClient, logged: Logged, images: Any
) -> None:
    answer = await client.post("/classify", content=npy(images[:3]), headers=NPY)
    (line,) = await requests(logged)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/classify", 200)
    assert (line["model"], line["version"], line["rows"]) == ("turning", 10, 3)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert 0 < line["inference_ms"] < line["ms"]
    assert 0 <= line["queue_ms"] < line["ms"]
    assert "refusal" not in line


@pytest.mark.anyio
@pytest.mark.parametrize("infer", ["/classify", "/models/turning/versions/2/classify"])
async def test_the_line_of_a_refused_request_says_why(
    client: httpx.AsyncClient, logged: Logged, infer: str
) -> None:
    await client.post(infer, content=b"no image")
    await client.post("/nowhere")
    bad, unknown = await requests(logged)
    assert (bad["status"], bad["refusal"], bad["model"]) == (415, "invalid", "turning")
    assert not bad.keys() & {"rows", "queue_ms", "inference_ms"}
    assert (unknown["status"], unknown["refusal"]) == (404, "not-found")
    assert not unknown.keys() & {"model", "version", "key"}


@pytest.mark.slow
@pytest.mark.anyio
async def test_lines_of_answered_requests_can_be_left_out_and_others_cannot(
    open_client: Any, repository: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_client(repository, proof="off", log_requests=0) as client:
        await client.get("/models")
        await client.get("/models/none")
        assert [line["status"] for line in await requests(logged)] == [404]
    draws = iter([0.1, 0.3, 0.9, 0.2])
    monkeypatch.setattr("service.metrics.request_lines.random.random", lambda: next(draws))
    async with open_client(repository, proof="off", log_requests=0.25) as client:
        for _ in range(4):
            await client.get("/models")
        assert [line["status"] for line in await requests(logged)] == [404, 200, 200]
