"""Too many requests, clients too slow, answers too late: each is told, and probes always pass."""

import asyncio
import base64
import gzip
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from PIL import Image

from service.auth import ApiKeys
from service.engine import Inference
from service.http.context import RequestContext
from service.http.middleware import Middleware
from service.metrics.prometheus import Metrics
from service.metrics.traces import Traces
from service.pending import PendingBytes
from service.settings import Settings
from tests.service.processes import NPY, npy
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Held(NamedTuple):
    begun: threading.Event
    released: threading.Event


@contextmanager
def held(session: Any) -> Iterator[Held]:
    """Let no batch of requests end before it is released."""
    compute, hold = session.compute, Held(threading.Event(), threading.Event())

    def wait(parts: Sequence[Any]) -> Inference:
        hold.begun.set()
        hold.released.wait(60)
        return compute(parts)

    session.compute = wait
    try:
        yield hold
    finally:
        hold.released.set()
        session.compute = compute


@asynccontextmanager
async def overloaded(
    open_client: Any, repository: Path, **options: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Any, Held]]:
    async with open_client(repository, **options) as client:
        session = client.data_plane.repository.find().session
        with held(session) as hold:
            yield client, session, hold


async def test_a_full_queue_is_503_with_a_time_and_probes_pass(
    open_client: Any, repository: Path, images: Any
) -> None:
    options = {"max_queue_size": 4, "max_batch_size": 4}
    async with overloaded(open_client, repository, **options) as (client, session, hold):

        def post(count: int) -> asyncio.Task[httpx.Response]:
            body = npy(images[:count])
            return asyncio.create_task(client.post("/classify", content=body, headers=NPY))

        accepted = [post(1)]
        await until(hold.begun.is_set)
        accepted += [post(3)]
        await until(lambda: session.waiting == 3)
        refused = await post(2)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert "3 images wait for it and at most 4 may" in refused.json()["error"]
        accepted += [post(1)]
        await until(lambda: session.waiting == 4)
        for probe in ("/healthz", "/readyz", "/models"):
            assert (await client.get(probe)).status_code == 200
        hold.released.set()
        answers = await asyncio.gather(*accepted)
        assert [len(answer.json()["predictions"]) for answer in answers] == [1, 3, 1]


@pytest.mark.parametrize(
    ("options", "headers"),
    [({"request_seconds": 0.05}, {}), ({}, {"Prefer": 'respond-async, wait="0"'})],
)
async def test_an_answer_that_is_too_late_is_504(
    open_client: Any, repository: Path, images: Any, options: Any, headers: dict[str, str]
) -> None:
    async with overloaded(open_client, repository, **options) as (client, session, _):
        body, headers = npy(images[:1]), NPY | headers
        answers = await asyncio.gather(
            *(client.post("/classify", content=body, headers=headers) for _ in range(3))
        )
        assert {answer.status_code for answer in answers} == {504}
        assert "within its time" in answers[0].json()["error"]
        assert session.waiting == 0


@pytest.mark.parametrize("preference", ["wait=10", "wait", "wait=soon", "await=0", "wait=0.0"])
async def test_a_preference_that_is_longer_or_no_number_changes_nothing(
    client: httpx.AsyncClient, images: Any, preference: str
) -> None:
    headers = NPY | {"Prefer": preference}
    response = await client.post("/classify", content=npy(images[:1]), headers=headers)
    assert response.status_code == 200


async def test_an_engine_that_crashed_is_not_ready_and_says_so(
    open_client: Any, repository: Path, images: Any, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    async with open_client(repository) as client:
        session = client.data_plane.repository.find("plain").session
        session.compute = session.probe = lambda *_: 1 / 0
        body = npy(images[:1])
        failed = await client.post("/models/plain/classify", content=body, headers=NPY)
        assert failed.status_code == 500
        assert "zero" not in failed.text
        (entry,) = (line for line in logged() if line["event"] == "the request failed")
        assert entry["request_id"] == failed.headers["X-Request-ID"]
        await until(lambda: not session.ready)
        refused = await client.post("/models/plain/classify", content=body, headers=NPY)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "version 1 of the model 'plain' has crashed" in ready.json()["error"]
        assert (await client.get("/healthz")).status_code == 200
        works = await client.post("/classify", content=body, headers=NPY)
        assert works.status_code == 200
        session.probe = lambda: None
        await until(lambda: session.ready)
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("answering", [False, True])
async def test_work_for_a_client_that_hung_up_ends_unless_an_answer_has_begun(
    monkeypatch: pytest.MonkeyPatch, answering: bool
) -> None:
    ended, looks, look = [], list[bool](), RequestContext.look
    monkeypatch.setattr(RequestContext, "look", lambda *of: (looks.append(True), look(*of))[1])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if answering:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await until(lambda: len(looks) >= 5)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("done")

    messages = [{"type": "http.request", "more_body": False}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/work", "headers": []}
    metrics = Metrics()
    await Middleware(app, [], Settings(), PendingBytes(0), ApiKeys(None), metrics, Traces())(
        scope, receive, send
    )
    assert metrics.refusals == ({} if answering else {"cancelled": 1})
    assert ended == ["done" if answering else "cancelled"]


@pytest.mark.parametrize("read", [False, True])
async def test_a_body_is_late_only_for_who_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, read: bool
) -> None:
    """A GET has none: what took longer than a body may, as a proof, was 408."""
    looks, look = list[bool](), RequestContext.look
    monkeypatch.setattr(RequestContext, "look", lambda *of: (looks.append(True), look(*of))[1])
    statuses: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if read:
            await receive()
        await until(lambda: len(looks) >= 3)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        statuses.extend(each for name, each in message.items() if name == "status")

    scope = {"type": "http", "method": "GET", "path": "/work", "headers": []}
    scope |= {"query_string": b"", "app": None}
    settings = Settings(receive_seconds=1e-9)
    await Middleware(app, [], settings, PendingBytes(0), ApiKeys(None), Metrics(), Traces())(
        scope, receive, send
    )
    assert statuses == [408 if read else 200]


async def test_bodies_that_hold_too_much_together_are_503_and_small_ones_pass(
    open_client: Any, repository: Path, images: Any
) -> None:
    """Packed ones too; and what a request held is free when it has ended, whatever its end."""
    mebibyte, more, sent = bytes(2**20), asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield mebibyte
        sent.set()
        await more.wait()

    limits = {"max_body_bytes": 2**20, "max_pending_bytes": 2**20 + 2**17}
    async with open_client(repository, **limits) as client:

        async def status(content: Any, **headers: str) -> int:
            answer = await client.post("/classify", content=content, headers=NPY | headers)
            assert answer.status_code != 503 or "hold too much" in answer.json()["error"]
            assert answer.status_code != 503 or answer.headers["Retry-After"] == "1"
            return int(answer.status_code)

        first = asyncio.create_task(status(slowly()))
        await sent.wait()
        assert await status(mebibyte) == 503
        assert await status(gzip.compress(mebibyte), **{"Content-Encoding": "gzip"}) == 503
        assert await status(npy(images[0])) == 200
        more.set()
        assert await first == 400  # which is no .npy
        for _ in range(3):
            assert await status(mebibyte) == 400


async def test_images_that_hold_too_much_once_decoded_are_503(
    open_client: Any, repository: Path
) -> None:
    """A body of some bytes an image becomes as many images of the model's size."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    image = base64.b64encode(file.getvalue()).decode()
    limits = {"max_body_bytes": 8000, "max_pending_bytes": 8000}
    async with overloaded(open_client, repository, **limits) as (client, _, hold):

        async def post(count: int) -> httpx.Response:
            return await client.post("/classify", json={"images": [image] * count})

        first = asyncio.create_task(post(64))
        await until(hold.begun.is_set)
        refused = await post(64)
        assert refused.status_code == 503
        assert "hold too much; at most 8000 bytes" in refused.json()["error"]
        hold.released.set()
        for answer in (await first, await post(64)):
            assert len(answer.json()["predictions"]) == 64
