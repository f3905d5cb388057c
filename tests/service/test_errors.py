"""A refusal is told with its sentence; whatever else is raised is 500, logged, and says nothing."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from imaging import RefusedError
from tests.service.processes import GREY, NPY

pytestmark = pytest.mark.anyio

Logged = Callable[[], list[dict[str, Any]]]
WORDS = "operands could not be broadcast together with shapes (3,) (4,)"
DEFECTS = [
    ValueError(WORDS),
    IndexError(WORDS),
    OSError(28, WORDS),
    MemoryError(WORDS),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, WORDS),
]


@pytest.fixture(scope="module")
async def fresh(open_client: Any, repository: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(repository, proof="off", threads=1) as client:
        yield client


def failing(error: BaseException) -> Callable[..., Any]:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    return fails


def told_as_defect(answer: httpx.Response, lines: list[dict[str, Any]]) -> None:
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "The service failed on this request; its log says why, under the request's id."
    }
    logged = [line for line in lines if WORDS in str(line.get("exception"))]
    assert logged
    assert {line["request_id"] for line in logged} == {answer.headers["X-Request-ID"]}


AUDITED = [
    "service.audits.run.run_pipeline",  # the audit
    "service.audits.run.version_under_test",
    "service.api.audits.query.cost",
    "service.audits.job_queue.report_digest",
    "service.api.audits.formats.render",
]


@pytest.mark.parametrize(
    ("broken", "defect"),
    [*((AUDITED[0], defect) for defect in DEFECTS), *((name, DEFECTS[0]) for name in AUDITED[1:])],
)
async def test_a_defect_of_the_auditor_is_no_refusal(
    fresh: httpx.AsyncClient,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    defect: Exception,
) -> None:
    monkeypatch.setattr(broken, failing(defect))
    audited = await fresh.post("/models/turning/audit", content=GREY, headers=NPY)
    told_as_defect(audited, logged())


async def test_a_defect_is_told_to_whoever_watches(
    fresh: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.audits.run.run_pipeline", failing(ValueError(WORDS)))
    events = await fresh.post("/models/turning/audit", headers={"Accept": "text/event-stream"})
    assert '"status": 500' in events.text
    assert WORDS not in events.text
    asked = await fresh.post("/models/turning/audit", headers={"Prefer": "respond-async, wait=60"})
    assert asked.status_code == 500
    begun = await fresh.post("/models/turning/audit", headers={"Prefer": "respond-async"})
    job = begun.headers["Location"]
    audits = fresh.app.state.job_queue
    await audits.find(job.rpartition("/")[2]).wait()
    status = (await fresh.get(job)).json()
    assert status["state"] == "failed"
    assert WORDS not in status["error"]


async def test_a_refusal_of_the_auditor_is_told(
    fresh: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "The moon is full; another night is accepted."
    monkeypatch.setattr("service.audits.run.run_pipeline", failing(RefusedError(sentence)))
    answer = await fresh.post("/models/turning/audit")
    assert (answer.status_code, answer.json()) == (422, {"error": sentence})


@pytest.mark.parametrize("query", ["group=C3", "group=none", "group=trivial", "group=%ED%A0%80"])
async def test_a_group_that_cannot_be_tried_is_refused(
    fresh: httpx.AsyncClient, query: str
) -> None:
    answer = await fresh.post(f"/models/turning/audit?{query}")
    assert answer.status_code == 422
    assert "accepted" in answer.json()["error"]


async def test_a_defect_of_the_proof_says_that_it_is_one(
    fresh: httpx.AsyncClient, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.proving.prove", failing(ValueError(WORDS)))
    answer = await fresh.get("/models/turning/proof")
    assert answer.status_code == 503
    assert "stopped at an error of its own (ValueError: " in answer.json()["error"]
    assert any(WORDS in str(line.get("exception")) for line in logged())


@pytest.mark.parametrize(
    ("method", "path", "broken"),
    [
        ("POST", "/classify", "service.data_plane.read_parts"),
        ("POST", "/classify", "service.api.classify.write_classification"),
        ("POST", "/v2/models/turning/infer", "service.api.oip.infer.read_request"),
        ("GET", "/models", "service.api.models._summary"),
        ("GET", "/models/turning", "service.api.models._failures"),
        ("GET", "/metrics", "service.metrics.prometheus.Metrics.write"),
        ("GET", "/readyz", "service.data_plane.DataPlane.check_ready"),
        ("GET", "/v2/models/stats", "service.api.oip.models.ModelStatistics.of"),
        ("POST", "/v2/repository/index", "service.api.oip.repository.entries_of"),
    ],
)
async def test_a_defect_of_any_call_is_no_refusal(
    fresh: httpx.AsyncClient,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
    png: Any,
    images: Any,
    method: str,
    path: str,
    broken: str,
) -> None:
    monkeypatch.setattr(broken, failing(ValueError(WORDS)))
    content = png(images[0]) if method == "POST" and "classify" in path else b""
    told_as_defect(await fresh.request(method, path, content=content), logged())
