"""Log lines say what happened in one shape, and no more than that."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog

from service.metrics.logs import configure_logs
from tests.service.test_overload import NPY, npy

Logged = Callable[[], list[dict[str, Any]]]


def requests(logged: Logged) -> list[dict[str, Any]]:
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


@pytest.mark.anyio
async def test_the_line_of_a_request_says_who_was_asked_and_where_the_time_went(
    client: httpx.AsyncClient, logged: Logged, images: Any
) -> None:
    answer = await client.post("/classify", content=npy(images[:3]), headers=NPY)
    (line,) = requests(logged)
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
    bad, unknown = requests(logged)
    assert (bad["status"], bad["refusal"], bad["model"]) == (415, "invalid", "turning")
    assert not bad.keys() & {"rows", "queue_ms", "inference_ms"}
    assert (unknown["status"], unknown["refusal"]) == (404, "not-found")
    assert not unknown.keys() & {"model", "version", "key"}


@pytest.mark.anyio
async def test_lines_of_answered_requests_can_be_left_out_and_others_cannot(
    open_client: Any, repository: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_client(repository, proof="off", log_requests=0) as client:
        await client.get("/models")
        await client.get("/models/none")
        assert [line["status"] for line in requests(logged)] == [404]
    draws = iter([0.1, 0.3, 0.9, 0.2])
    monkeypatch.setattr("service.http.middleware.random.random", lambda: next(draws))
    async with open_client(repository, proof="off", log_requests=0.25) as client:
        for _ in range(4):
            await client.get("/models")
        assert [line["status"] for line in requests(logged)] == [404, 200, 200]
