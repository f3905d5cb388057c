"""Traces, as a collector receives them over HTTP."""

import builtins
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.metrics.traces import Traces
from service.settings import ConfigurationError
from tests.service.processes import NPY, npy
from tests.service.test_server import serving

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.anyio

Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Collector:
    """What was exported, by the name of its span."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.resource: dict[str, str] = {}
        self.spans: list[Any] = []
        self.paths: list[str] = []

    def take(self, path: str, body: bytes) -> None:
        self.paths.append(path)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = {a.key: a.value.string_value for a in group.resource.attributes}
            self.spans += [span for scope in group.scope_spans for span in scope.spans]

    def named(self, name: str) -> Any:
        (found,) = (span for span in self.spans if span.name == name)
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


def values(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def test_a_request_is_a_span_with_its_stages_inside(
    open_client: Open, repository: Path, images: Any, collector: Collector,
    logged: Callable[[], list[dict[str, Any]]],
) -> None:  # fmt: skip
    before = time.time_ns()
    async with open_client(repository, proof="off") as client:
        answer = await client.post("/classify", content=npy(images[:3]), headers=NPY | TRACEPARENT)
        assert answer.status_code == 200
        assert collector.spans == []  # they are sent in batches, and what is left at the end
    after = time.time_ns()
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.resource["service.name"] == "orbitserve"
    request = collector.named("POST /classify")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    found = values(request)
    assert found["http.response.status_code"] == 200
    assert (found["orbitserve.model"], found["orbitserve.version"]) == ("turning", 10)
    assert (found["orbitserve.images"], found["http.route"]) == (3, "/classify")
    assert before <= request.start_time_unix_nano < request.end_time_unix_nano <= after
    last = request.start_time_unix_nano
    for name in ("receive", "decode", "queue", "inference"):
        stage = collector.named(name)
        assert (stage.trace_id, stage.parent_span_id) == (request.trace_id, request.span_id)
        assert last <= stage.start_time_unix_nano <= stage.end_time_unix_nano
        last = stage.end_time_unix_nano
    assert last <= request.end_time_unix_nano
    (line,) = (line for line in logged() if line["event"] == "request")
    assert line["trace_id"] == TRACE


async def test_the_standard_variables_hold(
    open_client: Open, repository: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "sorter")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=line-3")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    async with open_client(repository, proof="off") as client:
        assert (await client.get("/models")).status_code == 200
        assert (await client.get("/models", headers=TRACEPARENT)).status_code == 200
        refused = await client.get("/models/none", headers=TRACEPARENT)
        assert refused.status_code == 404
    names = [span.name for span in collector.spans]
    assert names == ["GET /models", "GET /models/{name}"]
    assert collector.resource["service.name"] == "sorter"
    assert collector.resource["deployment.environment.name"] == "line-3"
    assert values(collector.spans[1])["error.type"] == "not-found"


async def test_a_mistake_of_the_service_is_an_error_of_the_span(
    open_client: Open, repository: Path, images: Any, collector: Collector
) -> None:
    async with open_client(repository, proof="off") as client:
        app = client.app
        app.state.data_plane.repository.find().session.compute = lambda *_: 1 / 0
        refused = await client.post("/classify", content=npy(images[:1]), headers=NPY)
        assert refused.status_code == 500
    span = collector.named("POST /classify")
    assert (span.status.code, span.status.message) == (2, "failed")


@pytest.mark.slow
async def test_applications_trace_apart_and_without_variables_nothing_is_imported(
    open_client: Open, repository: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_client(repository, proof="off") as traced:
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        monkeypatch.setattr(builtins, "__import__", _without_opentelemetry)
        async with open_client(repository, proof="off") as untraced:
            assert (await untraced.get("/models")).status_code == 200
        monkeypatch.undo()
        await traced.get("/v2")
    assert [span.name for span in collector.spans] == ["GET /v2"]


_import = builtins.__import__


def _without_opentelemetry(name: str, *arguments: Any, **options: Any) -> Any:
    if name.startswith("opentelemetry"):
        raise ImportError(name)
    return _import(name, *arguments, **options)


def test_a_service_that_cannot_trace_though_asked_to_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(builtins, "__import__", _without_opentelemetry)
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    with pytest.raises(ConfigurationError, match="pip install 'opentelemetry-sdk>="):
        Traces().open(asked)
    for not_asked in (
        {},
        asked | {"OTEL_SDK_DISABLED": "true"},
        asked | {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "sorter"},
    ):
        Traces().open(not_asked)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp and none are accepted"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf is accepted"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf is accepted"),
    ],
)
def test_what_is_not_spoken_is_refused(name: str, value: str, accepted: str) -> None:
    asked = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces", name: value}
    with pytest.raises(ConfigurationError, match=accepted) as refused:
        Traces().open(asked)
    assert f"{name} is '{value}'" in str(refused.value)


@pytest.mark.slow
def test_a_service_without_its_collector_serves_and_ends(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with serving(repository, default_model="turning", proof="off") as server:
        assert httpx.get(f"{server.url}/models").status_code == 200
        began = time.monotonic()
        server.process.terminate()
        assert server.end() == 0
        assert time.monotonic() - began < 15
