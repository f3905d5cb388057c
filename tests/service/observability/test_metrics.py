"""What Prometheus reads equals what was sent and what became of it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics

from service.engine import QueueFullError
from service.errors import Reason, UnavailableError
from service.repository.statistics import Histogram
from tests.service.observability.scrape import Scrape, scrape
from tests.service.processes import NPY, npy
from tests.service.test_overload import held
from tests.waiting import until

pytestmark = pytest.mark.anyio

Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

OF_TRITON = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_pending_request_count",
    "nv_model_load_duration_secs",
}
LATEST = {"model": "turning", "version": 10}


@pytest.fixture
async def fresh(open_client: Open, repository: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(repository, proof="off", threads=1) as client:
        yield client


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep the log out of the output: rendering its tracebacks takes seconds."""
    with structlog.testing.capture_logs():
        yield


async def classify(client: httpx.AsyncClient, images: Any, path: str = "/classify") -> None:
    response = await client.post(path, content=npy(images), headers=NPY)
    assert response.status_code == 200


async def settled(client: httpx.AsyncClient, images: int) -> Scrape:
    """Scrape once the engine has told of the batches with so many images of `turning` 10."""
    statistics = client.data_plane.repository.find().statistics
    await until(
        lambda: sum(size * each.count for size, each in statistics.batches.items()) >= images
    )
    return await scrape(client)


async def test_requests_images_and_batches_are_those_that_were_sent(
    fresh: httpx.AsyncClient, images: Any
) -> None:
    for count in (1, 5, 2):
        await classify(fresh, images[:count])
    await classify(fresh, images[:1], "/models/plain/classify")
    found = await settled(fresh, 8)
    assert found("nv_inference_request_success", **LATEST) == 3
    assert found("nv_inference_count", **LATEST) == 8
    assert found("nv_inference_exec_count", **LATEST) == 3
    assert found("nv_inference_count", model="turning", version=2) == 0
    assert found("nv_inference_count", model="plain", version=1) == 1
    assert found("orbitserve_batch_images_count", **LATEST) == 3
    assert found("orbitserve_batch_images_sum", **LATEST) == 8
    sizes = {
        size: found("orbitserve_batch_images_bucket", **LATEST, le=size)
        for size in ("1.0", "2.0", "4.0", "8.0", "+Inf")
    }
    assert sizes == {"1.0": 1, "2.0": 2, "4.0": 2, "8.0": 3, "+Inf": 3}
    for name in ("request", "queue", "inference"):
        assert found(f"orbitserve_{name}_seconds_count", **LATEST) == 3
        assert found(f"orbitserve_{name}_seconds_sum", **LATEST) > 0
    assert found("orbitserve_http_requests_total", route="/classify", status=200) == 3
    assert found("nv_inference_request_failure") == 0


async def test_durations_of_triton_are_the_histograms_sums(
    fresh: httpx.AsyncClient, images: Any
) -> None:
    for _ in range(3):
        await classify(fresh, images[:1])
    found = await settled(fresh, 3)
    for triton, own in {
        "nv_inference_request_duration_us": "orbitserve_request_seconds_sum",
        "nv_inference_queue_duration_us": "orbitserve_queue_seconds_sum",
        "nv_inference_compute_infer_duration_us": "orbitserve_inference_seconds_sum",
    }.items():
        assert found(triton, **LATEST) == pytest.approx(1e6 * found(own, **LATEST), abs=2)


async def test_a_batch_of_two_requests_is_one_execution_and_computes_for_both(
    fresh: httpx.AsyncClient, images: Any
) -> None:
    session = fresh.data_plane.repository.find().session
    with held(session) as hold:
        posts = [asyncio.create_task(classify(fresh, images[:1]))]
        await until(hold.begun.is_set)
        posts += [asyncio.create_task(classify(fresh, images[:n])) for n in (1, 2)]
        await until(lambda: session.waiting == 3)
        waiting = await scrape(fresh)
        hold.released.set()
        await asyncio.gather(*posts)
    assert waiting("nv_inference_pending_request_count", **LATEST) == 2
    assert waiting("orbitserve_waiting_images", **LATEST) == 3
    found = await settled(fresh, 4)
    assert found("nv_inference_exec_count", **LATEST) == 2
    assert found("nv_inference_request_success", **LATEST) == 3
    first, second = fresh.data_plane.repository.find().statistics.batches.values()
    expected = (first.ns + 2 * second.ns) / 1000
    assert found("nv_inference_compute_infer_duration_us", **LATEST) == pytest.approx(
        expected, abs=2
    )
    assert found("orbitserve_waiting_images", **LATEST) == 0


@pytest.mark.usefixtures("quiet")
async def test_rejections_of_the_engine_are_counted_by_reason(
    open_client: Open, repository: Path, images: Any
) -> None:
    options = {"max_queue_size": 2, "max_batch_size": 2, "proof": "off", "threads": 1}
    async with open_client(repository, **options) as client:
        session = client.data_plane.repository.find().session

        def post(count: int, **headers: str) -> asyncio.Task[httpx.Response]:
            body = npy(images[:count])
            return asyncio.create_task(
                client.post("/classify", content=body, headers=NPY | headers)
            )

        with held(session) as hold:
            running = post(1)
            await until(hold.begun.is_set)
            late = post(1, Prefer="wait=0")
            assert (await late).status_code == 504
            waiting = post(2)
            await until(lambda: session.waiting == 2)
            assert [(await post(1)).status_code for _ in range(3)] == [503] * 3
            hold.released.set()
            assert [(await each).status_code for each in (running, waiting)] == [200, 200]
        compute = session.compute
        session.compute = lambda *_: 1 / 0
        assert (await post(1)).status_code == 500
        session.compute = compute
        await asyncio.to_thread(session.drain)
        assert (await post(1)).status_code == 503
        found = await scrape(client)
    counts = {
        reason: found("orbitserve_rejections_total", **LATEST, reason=reason)
        for reason in ("full", "expired", "failed", "down", "invalid")
    }
    assert counts == {"full": 3, "expired": 1, "failed": 1, "down": 1, "invalid": 0}
    kinds = {
        kind: found("nv_inference_request_failure", **LATEST, reason=kind)
        for kind in ("REJECTED", "BACKEND", "CANCELED", "OTHER")
    }
    assert kinds == {"REJECTED": 4, "BACKEND": 2, "CANCELED": 0, "OTHER": 0}
    assert found("nv_inference_request_success", **LATEST) == 2
    assert found("nv_inference_count", **LATEST) == 3


@pytest.mark.usefixtures("quiet")
async def test_rejections_before_the_engine_are_counted_by_reason(
    open_client: Open, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_client(repository, proof="off", max_body_bytes=100) as client:
        await client.post("/classify", content=b"")
        await client.post("/classify", content=b"no image")
        await client.post("/models/none/classify", content=b"any")
        await client.post("/nowhere")
        await client.post("/classify?topk=1", content=b"any")
        await client.post("/classify", content=bytes(101))
        monkeypatch.setattr(client.data_plane, "check_ready", _unavailable)
        await client.get("/readyz")
        monkeypatch.setattr(client.data_plane, "classify", _broken)
        await client.post("/classify", content=b"any")
        found = await scrape(client)

    def counted(model: str, reason: str) -> float:
        return found("orbitserve_rejections_total", model=model, reason=reason)

    assert counted("turning", "invalid") == 2
    assert counted("", "not-found") == 2
    assert counted("", "invalid") == 1
    assert counted("", "too-large") == 1
    assert counted("", "unavailable") == 1
    assert counted("", "error") == 1
    assert found("orbitserve_rejections_total") == 8
    assert found("nv_inference_request_failure", reason="OTHER") == 2
    assert found("orbitserve_http_requests_total", status=500) == 1


def _unavailable() -> None:
    raise UnavailableError("The service is ending.")


async def _broken(*_: Any) -> None:
    raise RuntimeError("a mistake of our own")


async def test_one_who_hangs_up_is_counted_as_cancelled(
    fresh: httpx.AsyncClient, images: Any
) -> None:
    app = fresh.app
    sent: list[Any] = []
    messages = iter([{"type": "http.request", "body": npy(images[:1]), "more_body": False}])

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/classify", "query_string": b"",
        "headers": [(b"content-type", b"application/x-npy")], "http_version": "1.1",
        "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    session = fresh.data_plane.repository.find().session
    with held(session):
        await app(scope, receive, send)
    assert sent == []
    found = await scrape(fresh)
    assert found("orbitserve_rejections_total", **LATEST, reason="cancelled") == 1
    assert found("nv_inference_request_failure", **LATEST, reason="CANCELED") == 1
    assert found("orbitserve_http_requests_total", route="/classify", status=0) == 1
    assert found("nv_inference_request_success", **LATEST) == 0


async def test_too_many_images_to_decode_are_counted_as_full(
    fresh: httpx.AsyncClient, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> None:
        raise QueueFullError(1, 1, 1)

    monkeypatch.setattr(fresh.data_plane, "_images", full)
    assert (await fresh.post("/classify", content=npy(images[:1]), headers=NPY)).status_code == 503
    assert (await scrape(fresh))("orbitserve_rejections_total", **LATEST, reason="full") == 1


async def test_the_protocols_requests_and_statistics_count_the_same(
    fresh: httpx.AsyncClient, images: Any
) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [2, 1, 8, 8]}
    body = {"inputs": [tensor | {"data": images[:2].ravel().tolist()}]}
    assert (await fresh.post("/v2/models/turning/infer", json=body)).status_code == 200
    assert (await fresh.post("/v2/models/turning/infer", json={})).status_code >= 400
    found = await settled(fresh, 2)
    (stats,) = (await fresh.get("/v2/models/turning/versions/10/stats")).json()["model_stats"]
    assert found("nv_inference_request_success", **LATEST) == 1
    assert stats["inference_stats"]["success"]["count"] == 1
    assert found("nv_inference_request_failure", **LATEST) == 1
    assert stats["inference_stats"]["fail"]["count"] == 1
    assert found("nv_inference_count", **LATEST) == stats["inference_count"] == 2
    assert found("nv_inference_exec_count", **LATEST) == stats["execution_count"] == 1


async def test_an_audit_is_counted_apart_from_requests(
    fresh: httpx.AsyncClient, images: Any
) -> None:
    await fresh.post("/models/turning/audit", content=npy(images[:4]), headers=NPY)
    statistics = fresh.data_plane.repository.find().statistics
    await until(lambda: statistics.audited.count >= 16)
    found = await scrape(fresh)
    assert found("orbitserve_audit_images_total", **LATEST) >= 16
    for name in ("nv_inference_count", "nv_inference_exec_count", "nv_inference_request_success"):
        assert found(name) == 0
    assert found("orbitserve_http_requests_total", route="/models/{name}/audit", status=200) == 1


@pytest.mark.slow
async def test_two_applications_in_one_process_count_apart(
    open_client: Open, repository: Path, images: Any
) -> None:
    async with (
        open_client(repository, proof="off") as one,
        open_client(repository, proof="off") as other,
    ):
        await classify(one, images[:3])
        assert (await scrape(one))("nv_inference_count") == 3
        assert (await scrape(other))("nv_inference_count") == 0
        assert (await scrape(other))("orbitserve_http_requests_total", route="/classify") == 0


async def test_what_is_unloaded_is_gone_and_loads_are_counted_on(
    open_client: Open, repository: Path, images: Any, tmp_path: Path
) -> None:
    root = tmp_path / "repository"
    shutil.copytree(repository, root)
    (root / "plain" / "1" / "model.onnx").write_bytes(b"broken")
    async with open_client(root, proof="off", poll_seconds=0, model_control=True) as client:
        await classify(client, images[:1])
        before = await scrape(client)
        assert before("orbitserve_model_failed", model="plain", version=1) == 1
        assert before("orbitserve_model_load_failures_total", model="plain", version=1) == 1
        assert before("orbitserve_model_loads_total", model="plain", version=1) == 0
        assert before("orbitserve_model_loads_total", **LATEST) == 1
        await client.post("/v2/repository/models/turning/unload")
        gone = await scrape(client)
        series = {s.name for s in gone.samples if s.labels.get("model") == "turning"}
        assert series == {
            "orbitserve_model_loads_total",
            "orbitserve_model_load_failures_total",
            "orbitserve_model_failed",
        }
        assert gone("orbitserve_model_failed", model="turning") == 0
        await client.post("/v2/repository/models/turning/load")
        again = await scrape(client)
        assert again("orbitserve_model_loads_total", **LATEST) == 2
        assert again("nv_inference_count", **LATEST) == 0
        shutil.rmtree(root / "plain")
        await client.data_plane.repository.poll()
        assert "plain" not in (await scrape(client)).labels("orbitserve_model_failed", "model")


async def test_what_was_shown_of_a_model_is_told(open_client: Open, repository: Path) -> None:
    async with open_client(repository) as client:
        found = await scrape(client)
    (info,) = [
        s.labels for s in found.samples
        if s.name == "orbitserve_model_info" and s.labels["model"] == "turning"
        and s.labels["version"] == "10"
    ]  # fmt: skip
    assert info["proof"] == "PROVED"
    assert info["exact"] in ("true", "false")
    assert (info["group"], info["precision"], info["device"]) == ("C4", "fp32", "cpu")
    assert info["digest"].startswith("sha256:")
    assert found("orbitserve_model_unshown_claims", **LATEST) == 0
    assert found("orbitserve_model_ready", **LATEST) == 1
    assert found("nv_model_load_duration_secs", **LATEST) > 0


async def test_openmetrics_is_answered_where_it_is_asked_for(
    fresh: httpx.AsyncClient, images: Any
) -> None:
    await classify(fresh, images[:1])
    accept = {"Accept": "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"}
    response = await fresh.get("/metrics", headers=accept)
    assert response.headers["Content-Type"].startswith(
        "application/openmetrics-text; version=1.0.0"
    )
    names = {sample.name for family in open_metrics(response.text) for sample in family.samples}
    assert names >= OF_TRITON
    plain = await fresh.get("/metrics")
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert Scrape(plain.text).names == names


async def test_every_reason_is_there_from_the_start(fresh: httpx.AsyncClient) -> None:
    """A counter that appears with its first event has no increase to be alerted of."""
    found = await scrape(fresh)
    assert found.labels("orbitserve_rejections_total", "reason") == set(get_args(Reason))
    assert found("orbitserve_rejections_total") == 0
    assert found.names >= OF_TRITON


async def test_clients_cannot_make_series(fresh: httpx.AsyncClient) -> None:
    before = len((await scrape(fresh)).samples)
    for number in range(20):
        await fresh.request(f"M{number}", f"/nowhere/{number}")
        await fresh.post(f"/models/none{number}/classify", content=b"any")
    after = await scrape(fresh)
    assert len(after.samples) - before <= 3
    assert after("orbitserve_http_requests_total", method="other", route="") == 20


def test_a_histogram_counts_a_bound_with_what_is_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    assert histogram.buckets == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert (histogram.count, histogram.sum) == (5, 8.0)
