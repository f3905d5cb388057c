"""Models come, go and are replaced while the service runs, and nobody who asks notices."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from structlog.testing import capture_logs

from service.engine import Session, select
from service.repository import loading as loading_module
from service.repository.discovery import discover
from service.repository.version import load_version
from tests.waiting import until

pytestmark = pytest.mark.anyio

Whole = Callable[[int], bytes]


@pytest.fixture
def root(tmp_path: Path, write_version: Any, whole: Whole) -> Path:
    """A repository of one model, `turning` 1, with space beside it to prepare versions."""
    write_version(tmp_path / "repository", "turning", 1, whole(1))
    return tmp_path / "repository"


@pytest.fixture
def add(root: Path, tmp_path: Path, write_version: Any, whole: Whole) -> Callable[..., Path]:
    """Let a version appear atomically, as export does: written aside, then renamed."""

    def appear(version: int, name: str = "turning", spoil: Any = None) -> Path:
        aside = write_version(tmp_path / "aside", name, version, whole(version))
        if spoil:
            spoil(aside)
        (root / name).mkdir(exist_ok=True)
        return aside.rename(root / name / str(version))

    return appear


@pytest.fixture
async def client(open_client: Any, root: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A service that looks at its repository when it is told to, and not by itself."""
    async with open_client(root, poll_seconds=0, threads=1, model_control=True) as client:
        yield client


@pytest.fixture(scope="session")
def due(
    images: Any, whole: Whole, write_version: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], bytes]:
    """The logits of a version for the first image, by a session of its own."""
    known: dict[int, bytes] = {}

    def classify(version: int) -> bytes:
        if version not in known:
            root = tmp_path_factory.mktemp("bare")
            folder = write_version(root, "turning", version, whole(version))
            model = load_version(folder, select("cpu"), 1)
            known[version] = model.session.run(images[:1]).logits.tobytes()
            model.session.close()
        return known[version]

    return classify


RAW = {"Inference-Header-Content-Length": "0"}


async def infer(client: httpx.AsyncClient, images: Any, of: str = "") -> httpx.Response:
    content = images[:1].tobytes()
    return await client.post(f"/v2/models/turning{of}/infer", content=content, headers=RAW)


def read(response: httpx.Response) -> tuple[int, bytes]:
    """Return the version that answered, and its logits."""
    assert response.status_code == 200, response.text
    length = int(response.headers["inference-header-content-length"])
    version = response.content[:length].split(b'"model_version":"')[1].split(b'"')[0]
    return int(version), response.content[length : length + 16]


async def call(client: httpx.AsyncClient, what: str, name: str = "turning") -> httpx.Response:
    return await client.post(f"/v2/repository/models/{name}/{what}")


async def index(client: httpx.AsyncClient, **asked: Any) -> dict[str, tuple[str, str]]:
    listed = (await client.post("/v2/repository/index", json=asked)).json()
    return {f"{e['name']}/{e['version']}": (e["state"], e["reason"]) for e in listed}


def spoil(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"other")


READY = ("READY", "")


async def test_a_version_that_appears_is_served_when_it_is_loaded(
    client: httpx.AsyncClient, add: Any, images: Any, due: Any
) -> None:
    add(2)
    assert read(await infer(client, images)) == (1, due(1))
    assert (await call(client, "load")).status_code == 200
    assert read(await infer(client, images)) == (2, due(2))
    assert read(await infer(client, images, "/versions/1")) == (1, due(1))
    assert due(1) != due(2)
    assert await index(client) == {"turning/1": READY, "turning/2": READY}
    (turning,) = (await client.get("/models")).json()["models"]
    assert turning["versions"] == [1, 2]


async def test_it_is_found_by_looking_again_and_again(
    open_client: Any, root: Path, add: Any, images: Any, due: Any
) -> None:
    async with open_client(root, poll_seconds=0.05) as client:
        add(2)
        add(1, name="another")
        due_then = dict.fromkeys(("another/1", "turning/1", "turning/2"), READY)
        async with asyncio.timeout(60):
            while await index(client) != due_then:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert read(await infer(client, images)) == (2, due(2))
        models = (await client.get("/models")).json()["models"]
        assert [(each["name"], each["default"]) for each in models] == [
            ("another", False),
            ("turning", True),
        ]


async def test_a_version_that_fails_leaves_the_old_one_serving_and_says_why(
    client: httpx.AsyncClient, logged: Any, add: Any, images: Any, due: Any
) -> None:
    folder = add(2, spoil=spoil)
    answer = await call(client, "load")
    assert answer.status_code == 422
    assert "Version 2 of the model 'turning' failed to load: model.onnx" in answer.json()["error"]
    assert read(await infer(client, images)) == (1, due(1))
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}
    state, reason = (await index(client))["turning/2"]
    assert state == "UNAVAILABLE"
    assert reason.startswith("model.onnx has the SHA-256")
    assert set(await index(client, ready=True)) == {"turning/1"}
    assert (await infer(client, images, "/versions/2")).status_code == 503
    assert (await client.get("/v2/models/turning/versions/2/ready")).status_code == 503
    (refused,) = (each for each in logged() if each["event"] == "model refused")
    assert (refused["version"], refused["reason"]) == (2, reason)
    shutil.rmtree(folder)
    add(2)
    assert (await call(client, "load")).status_code == 200
    assert read(await infer(client, images)) == (2, due(2))


async def poll(client: httpx.AsyncClient) -> None:
    """Look at the repository once, as its watch does."""
    await client.data_plane.repository.poll()


async def test_what_failed_is_tried_again_when_it_is_touched_and_not_before(
    client: httpx.AsyncClient, logged: Any, add: Any
) -> None:
    folder = add(2, spoil=spoil)
    for _ in range(3):
        await poll(client)
    assert len([each for each in logged() if each["event"] == "model refused"]) == 1
    os.utime(folder / "model.onnx", (1, 1))
    await poll(client)
    assert len([each for each in logged() if each["event"] == "model refused"]) == 2
    shutil.rmtree(folder)
    await poll(client)
    assert await index(client) == {"turning/1": READY}


async def test_what_is_half_written_is_no_version(
    client: httpx.AsyncClient, add: Any, root: Path
) -> None:
    for name in (".3-abcd", "3.partial", "-3", "03", "3 ", "٣"):
        shutil.copytree(root / "turning" / "1", root / "turning" / name)
    await poll(client)
    assert (await call(client, "load")).status_code == 200
    assert await index(client) == {"turning/1": READY}


async def test_a_model_is_unloaded_and_loaded_again(
    client: httpx.AsyncClient, images: Any, due: Any
) -> None:
    assert (await call(client, "unload")).status_code == 200
    refused = await infer(client, images)
    assert refused.status_code == 503
    assert "was unloaded; /v2/repository/models/turning/load" in refused.json()["error"]
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/v2/health/ready")).status_code == 503
    assert (await client.get("/v2/models/turning/ready")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/v2/models/stats")).json() == {"model_stats": []}
    (turning,) = (await client.get("/models")).json()["models"]
    assert turning["versions"] == []
    await poll(client)
    assert await index(client) == {"turning/1": ("UNAVAILABLE", "unloaded")}
    assert (await call(client, "load")).status_code == 200
    assert read(await infer(client, images)) == (1, due(1))
    assert (await client.get("/readyz")).status_code == 200


async def test_unknown_models_are_404(client: httpx.AsyncClient, images: Any) -> None:
    for answer in (
        await call(client, "load", "none"),
        await call(client, "unload", "none"),
        await client.post("/v2/models/none/infer", content=images[:1].tobytes(), headers=RAW),
        await client.get("/v2/models/none"),
        await client.get("/v2/models/none/ready"),
        await client.get("/v2/models/none/stats"),
        await client.get("/v2/models/turning/versions/7/config"),
        await client.get("/models/none"),
    ):
        assert answer.status_code == 404
        assert answer.json().keys() == {"error"}


async def test_models_are_their_directories_and_nothing_that_is_sent(
    client: httpx.AsyncClient,
) -> None:
    for parameters in ({"config": "{}"}, {"file:1/model.onnx": "AAAA"}):
        answer = await client.post(
            "/v2/repository/models/turning/load", json={"parameters": parameters}
        )
        assert answer.status_code == 422
        assert next(iter(parameters)) in answer.json()["error"]


async def test_large_json_about_the_repository_is_refused_before_it_is_read(
    client: httpx.AsyncClient,
) -> None:
    """As objects it takes thirty times as much, and the event loop for seconds."""
    body = b"[" + 100_000 * b"[]," + b"0]"
    for where in ("index", "models/turning/load", "models/turning/unload"):
        answer = await client.post(f"/v2/repository/{where}", content=body)
        assert answer.status_code == 413
        assert "at most 65536 are accepted" in answer.json()["error"]


async def test_a_directory_that_is_removed_is_served_until_it_is_unloaded(
    client: httpx.AsyncClient, root: Path, add: Any, images: Any, due: Any
) -> None:
    add(2)
    await poll(client)
    shutil.rmtree(root / "turning" / "2")
    await poll(client)
    assert (await call(client, "load")).status_code == 200
    assert read(await infer(client, images)) == (2, due(2))
    gone = ("READY", "Its files are gone; it is served until it is unloaded.")
    assert await index(client) == {"turning/1": READY, "turning/2": gone}
    await call(client, "unload")
    assert await index(client) == {"turning/1": ("UNAVAILABLE", "unloaded")}
    shutil.rmtree(root / "turning")
    await poll(client)
    assert await index(client) == {}
    assert (await client.get("/readyz")).status_code == 503
    assert (await infer(client, images)).status_code == 404


@pytest.mark.parametrize("file", ["model.onnx", "card.json", "audit.npz"])
async def test_a_version_that_is_changed_in_place_is_an_error_and_not_served(
    client: httpx.AsyncClient,
    logged: Any,
    root: Path,
    write_version: Any,
    whole: Whole,
    tmp_path: Path,
    images: Any,
    due: Any,
    file: str,
) -> None:
    folder = root / "turning" / "1"
    other = write_version(tmp_path / "other", "turning", 1, whole(2), description="Another.")
    (other / "audit.npz").write_bytes(b"another")
    shutil.copy(other / file, folder / file)
    for _ in range(2):
        await poll(client)
        assert read(await infer(client, images)) == (1, due(1))
    state, reason = (await index(client))["turning/1"]
    assert state == "READY"
    assert "was changed in place" in reason
    assert file in reason
    said = [each for each in logged() if each["event"] == "a served model was changed in place"]
    assert [each["level"] for each in said] == ["error"]
    refused = await call(client, "load")
    assert refused.status_code == 422
    assert "was changed in place" in refused.json()["error"]
    assert read(await infer(client, images)) == (1, due(1))


async def test_after_unloading_the_changed_version_is_loaded(
    client: httpx.AsyncClient, root: Path, write_version: Any, whole: Whole, images: Any, due: Any
) -> None:
    shutil.rmtree(root / "turning" / "1")
    write_version(root, "turning", 1, whole(2))
    await poll(client)
    assert read(await infer(client, images)) == (1, due(1))
    await call(client, "unload")
    assert (await call(client, "load")).status_code == 200
    assert read(await infer(client, images)) == (1, due(2))
    assert await index(client) == {"turning/1": READY}


async def test_a_file_that_is_only_touched_is_no_change(
    client: httpx.AsyncClient, root: Path
) -> None:
    copy = shutil.copytree(root / "turning" / "1", root / "copy")
    shutil.rmtree(root / "turning" / "1")
    copy.rename(root / "turning" / "1")
    await poll(client)
    assert (await call(client, "load")).status_code == 200
    assert await index(client) == {"turning/1": READY}


@contextmanager
def gate(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[asyncio.Event, list[Session], list[Session]]]:
    """Hold requests before their session until the event; list the asked and the closed ones."""
    opened, asked, closed = asyncio.Event(), [], []
    infer, close = Session.infer, Session.close

    async def held(self: Session, *arguments: Any, **options: Any) -> Any:
        asked.append(self)
        await opened.wait()
        return await infer(self, *arguments, **options)

    def noted(self: Session) -> Any:
        closed.append(self)
        return close(self)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "infer", held)
        patch.setattr(Session, "close", noted)
        yield opened, asked, closed


@pytest.mark.parametrize("path", ["infer", "classify"])
async def test_a_session_lives_until_its_last_request_is_answered_and_no_longer(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, images: Any, due: Any, path: str
) -> None:
    session = client.data_plane.repository.find().session

    async def ask() -> httpx.Response:
        if path == "infer":
            return await infer(client, images)
        return await client.post("/classify", json={"image": await asyncio.to_thread(_png)})

    with gate(monkeypatch) as (opened, held, closed):
        asked = [asyncio.create_task(ask()) for _ in range(3)]
        await until(lambda: len(held) == 3)
        assert (await call(client, "unload")).status_code == 200
        assert (await infer(client, images)).status_code == 503
        assert (await call(client, "load")).status_code == 200
        assert closed == []
        opened.set()
        answers = await asyncio.gather(*asked)
        assert [each.status_code for each in answers] == [200] * 3
        if path == "infer":
            assert [read(each) for each in answers] == [(1, due(1))] * 3
        await until(lambda: closed == [session])
        assert read(await infer(client, images)) == (1, due(1))
        assert closed == [session]


def _png() -> str:
    import base64
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


async def test_a_request_that_fails_or_is_cancelled_holds_nothing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, images: Any
) -> None:
    with gate(monkeypatch) as (opened, held, closed):
        cancelled = asyncio.create_task(infer(client, images))
        await until(lambda: len(held) == 1)
        bad = await client.post("/v2/models/turning/infer", content=b"{}")
        assert bad.status_code == 422
        await call(client, "unload")
        assert (await infer(client, images)).status_code == 503
        assert closed == []
        cancelled.cancel()
        await until(lambda: len(closed) == 1)
        assert not opened.is_set()


async def test_the_service_answers_while_a_version_is_loaded(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, add: Any, images: Any, due: Any
) -> None:
    loading, open_tried = threading.Event(), loading_module.open_tried
    go_on = threading.Event()

    def slowly(*arguments: Any, **options: Any) -> Any:
        loading.set()
        assert go_on.wait(10)
        return open_tried(*arguments, **options)

    monkeypatch.setattr(loading_module, "open_tried", slowly)
    add(2)
    loaded = asyncio.create_task(call(client, "load"))
    await until(loading.is_set)
    assert read(await infer(client, images)) == (1, due(1))
    assert await index(client) == {"turning/1": READY, "turning/2": ("UNAVAILABLE", "loading")}
    assert "is being loaded" in (await infer(client, images, "/versions/2")).json()["error"]
    assert (await client.get("/readyz")).status_code == 200
    go_on.set()
    assert (await loaded).status_code == 200
    assert read(await infer(client, images)) == (2, due(2))


async def test_a_repository_that_is_gone_is_told_of_once_and_is_no_defect(
    open_client: Any, root: Path, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    away, move = root.with_name("away"), Path.rename

    def look(place: Path) -> Any:
        looks.append(None)
        return discover(place)

    monkeypatch.setattr("service.repository.registry.discover", look)

    async def looked_at() -> None:
        goal = len(looks) + 3
        await until(lambda: len(looks) >= goal)

    def told(lines: Any) -> list[Any]:
        return [line for line in lines if "could not be looked at" in line["event"]]

    with capture_logs() as lines:
        async with open_client(root, poll_seconds=0.02) as client:
            for times in (1, 2):
                move(root, away)
                await looked_at()
                assert (await infer(client, images)).status_code == 200
                move(away, root)
                await looked_at()
                assert len(told(lines)) == times
    (first, _) = told(lines)
    assert "exc_info" not in first
    assert first["reason"].startswith("The repository cannot be read: There is no folder")


async def test_the_sessions_of_all_models_end_with_the_application(
    open_client: Any, root: Path, add: Any
) -> None:
    def threads() -> set[threading.Thread]:
        return {t for t in threading.enumerate() if t.name.startswith(("inference", "repository"))}

    before = threads()
    async with open_client(root, poll_seconds=0.05) as client:
        add(2)
        await call(client, "load")
        await call(client, "unload")
        await call(client, "load")
    assert threads() == before


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_not_one_answer_is_wrong_or_lost_while_models_change(
    listen: Any, root: Path, add: Any, images: Any, due: Any
) -> None:
    """Clients of `turning` while versions appear, fail, and are unloaded beside and under them."""
    for version in range(1, 5):
        due(version)
    add(1, name="other")
    answers: list[tuple[int, bytes]] = []
    unavailable: list[str] = []
    done = False

    async def ask(client: httpx.AsyncClient, of: str) -> None:
        while not done:
            response = await infer(client, images, of)
            if response.status_code == 503:
                error = response.json()["error"]
                assert "was unloaded" in error or "is being loaded" in error
                unavailable.append(of)
            else:
                answers.append(read(response))

    async def so_many_more(count: int) -> None:
        goal = len(answers) + count
        await until(lambda: len(answers) >= goal)

    with listen(root, poll_seconds=0, model_control=True) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            clients = [asyncio.create_task(ask(client, of)) for of in ("", "", "", "/versions/1")]
            await so_many_more(20)
            for version in (2, 3, 4):
                add(version, spoil=spoil if version == 3 else None)
                answer = await call(client, "load")
                assert answer.status_code == (422 if version >= 3 else 200)
                await so_many_more(20)
            assert not unavailable
            for _ in range(2):
                assert (await call(client, "unload")).status_code == 200
                assert (await call(client, "load")).status_code == 422  # of version 3
                await so_many_more(20)
            assert (await call(client, "unload", "other")).status_code == 200
            await so_many_more(20)
            done = True
            await asyncio.gather(*clients)
    assert {version for version, _ in answers} == {1, 2, 4}
    assert all(logits == due(version) for version, logits in answers)
    numbers = [version for version, _ in answers]
    assert numbers.index(2) < numbers.index(4)
