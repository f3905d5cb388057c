"""Log lines say what happened in one shape, and no more than that."""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.metrics.logs import configure_logs, escape, renderers
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
