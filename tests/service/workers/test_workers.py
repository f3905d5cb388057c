"""A service of two workers: one port, one set of metrics, one state, whichever is asked."""

import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest

from service.grpc.messages import message
from tests.program import start
from tests.service.observability.scrape import Scrape
from tests.service.processes import GREY, NPY, Server, environment, npy, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

OPTIONS = {"workers": 2, "default_model": "turning", "model_control": True, "grpc_port": 0}
SILENT_SECONDS = 20
CALLS = "orbitserve_http_requests_total"


@pytest.fixture(scope="module")
def root(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers") / "repository"
    shutil.copytree(repository, folder)
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with serving(root, poll_seconds=0, worker_timeout=SILENT_SECONDS, **OPTIONS) as server:
        wait_until_ready(server)
        yield server


@pytest.fixture
def each(server: Server) -> Iterator[dict[int, httpx.Client]]:
    wait_until_ready(server)
    with ExitStack() as stack:
        yield clients(server, stack)


def wait_until_ready(server: Server) -> None:
    wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)


def events(server: Server, event: str) -> list[dict[str, Any]]:
    lines = [line for line in tuple(server.log) if line.startswith("{")]
    return [found for line in lines if (found := json.loads(line))["event"] == event]


def pids(server: Server) -> dict[int, int]:
    """The workers that were started last, by their numbers."""
    return {each["worker"]: each["pid"] for each in events(server, "worker started")}


def clients(server: Server, stack: ExitStack) -> dict[int, httpx.Client]:
    """A client with a connection of its own to each worker; the log says which took it."""
    found: dict[int, httpx.Client] = {}
    for _ in range(1000):
        client = stack.enter_context(httpx.Client(base_url=server.url, timeout=60))
        client.request_id = uuid4().hex  # type: ignore[attr-defined]
        asked = {"X-Request-ID": client.request_id}  # type: ignore[attr-defined]
        assert client.get("/models", headers=asked).status_code == 200
        found.setdefault(worker_of(server, asked["X-Request-ID"]), client)
        if len(found) == 2:
            return found
    raise AssertionError("one worker takes all connections")


def worker_of(server: Server, identity: str) -> int:
    def lines() -> list[int]:
        found = events(server, "request")
        return [each["worker"] for each in found if each["request_id"] == identity]

    wait_until(lines)
    return lines()[0]


def scrape(client: httpx.Client) -> Scrape:
    return Scrape(client.get("/metrics").text)


def kill(server: Server, number: int) -> None:
    """Kill a worker, and wait until it is started again."""
    before = pids(server)[number]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: pids(server)[number] != before)
    wait_until_ready(server)


def test_both_answer_on_one_port(server: Server, each: dict[int, httpx.Client]) -> None:
    assert each.keys() == {0, 1}
    for pid in pids(server).values():
        assert str(server.process.pid) in Path(f"/proc/{pid}/stat").read_text()
    answers = {client.post("/classify", content=GREY, headers=NPY).text for client in each.values()}
    assert len(answers) == 1


def test_each_computes_with_its_share_of_the_cpus(each: dict[int, httpx.Client]) -> None:
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    for client in each.values():
        assert client.get("/models/turning").json()["runtime"]["threads"] <= share


def test_metrics_are_those_of_both_and_outlive_a_worker(
    server: Server, each: dict[int, httpx.Client]
) -> None:
    def answered(client: httpx.Client) -> tuple[float, ...]:
        found = scrape(client)
        return (
            found("nv_inference_request_success", model="turning"),
            found("orbitserve_request_seconds_count", model="turning"),
            found(CALLS, route="/classify", status=200),
        )

    before = answered(each[0])
    for number, times in ((0, 3), (1, 5)):
        for _ in range(times):
            assert each[number].post("/classify", content=GREY, headers=NPY).status_code == 200
    after = tuple(count + 8 for count in before)
    assert answered(each[0]) == answered(each[1]) == after
    restarts = scrape(each[0])("orbitserve_worker_restarts_total")
    os.kill(pids(server)[1], signal.SIGKILL)
    assert answered(each[0]) == after
    wait_until(lambda: scrape(each[0])("orbitserve_worker_restarts_total") == restarts + 1)
    wait_until_ready(server)
    assert answered(each[0]) == after
    assert scrape(each[0])("orbitserve_model_ready", model="plain") == 1


def test_what_is_unloaded_and_loaded_is_so_everywhere(
    server: Server, each: dict[int, httpx.Client]
) -> None:
    def statuses() -> set[int]:
        return {client.get("/v2/models/plain/ready").status_code for client in each.values()}

    def change(number: int, what: str, name: str = "plain") -> httpx.Response:
        return each[number].post(f"/v2/repository/models/{name}/{what}")

    assert change(0, "unload").status_code == 200
    assert statuses() == {503}
    kill(server, 1)
    with ExitStack() as stack:
        each |= clients(server, stack)
        assert statuses() == {503}, "a worker that is started again knows what was unloaded"
        assert change(1, "load").status_code == 200
        assert statuses() == {200}
        missing = change(0, "load", "none")
        assert (missing.status_code, missing.json()) == (
            404,
            {"error": "There is no model 'none' in the repository."},
        )


def test_a_load_that_fails_is_told(
    root: Path, tmp_path: Path, each: dict[int, httpx.Client]
) -> None:
    shutil.copytree(root / "plain", root / "broken")
    answer = each[0].post("/v2/repository/models/broken/load")
    assert answer.status_code == 422
    assert "failed to load" in answer.json()["error"]
    shutil.rmtree(root / "broken")
    assert each[1].post("/v2/repository/models/broken/unload").status_code == 200


def test_statistics_are_those_of_both(each: dict[int, httpx.Client]) -> None:
    def count(number: int) -> int:
        answer = each[number].get("/v2/models/turning/versions/10/stats").json()
        counted: int = answer["model_stats"][0]["inference_stats"]["success"]["count"]
        return counted

    before = count(0)
    for client in each.values():
        client.post("/models/turning/classify", content=GREY, headers=NPY)
    assert count(0) == count(1) == before + 2


def test_a_job_is_found_at_any_worker(each: dict[int, httpx.Client], images: Any) -> None:
    asked = {**NPY, "Prefer": "respond-async"}
    body = npy(images)
    begun = each[0].post("/models/turning/audit", content=body, headers=asked)
    assert begun.status_code == 202
    place = begun.headers["location"]
    wait_until(lambda: each[1].get(place).json()["state"] == "done")
    assert each[1].get(place).json() == each[0].get(place).json()
    for form in ("json", "html", "junit"):
        reports = [each[n].get(f"{place}/report", params={"format": form}) for n in (0, 1)]
        assert [answer.status_code for answer in reports] == [200, 200]
        assert reports[0].content == reports[1].content
    assert each[1].get("/audits/jobs/none").status_code == 404


def test_a_job_is_cancelled_from_another_worker(each: dict[int, httpx.Client]) -> None:
    asked = {"Prefer": "respond-async"}
    begun = each[0].post("/models/turning/audit", params={"angles": 400}, headers=asked)
    place = begun.headers["location"]
    answer = each[1].delete(place)
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert each[1].get(f"{place}/report").status_code == 404


def test_a_killed_worker_takes_its_own_requests_along_alone(
    server: Server, each: dict[int, httpx.Client]
) -> None:
    """Audits run for long; the one at the other worker gets its answer."""
    got: dict[int, Any] = {}

    def ask(number: int) -> None:
        try:
            got[number] = each[number].post("/models/turning/audit", params={"angles": 100})
        except httpx.TransportError as error:
            got[number] = error

    before = scrape(each[0])("orbitserve_audit_images_total")
    threads = [threading.Thread(target=ask, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    with httpx.Client(base_url=server.url) as client:
        wait_until(lambda: scrape(client)("orbitserve_audit_images_total") > before)
        assert not got
        os.kill(pids(server)[1], signal.SIGKILL)
        for thread in threads:
            thread.join(60)
    assert got[0].status_code == 200
    assert isinstance(got[1], httpx.TransportError), got[1]
    wait_until_ready(server)


def test_a_worker_that_hangs_is_replaced_as_one_that_died(
    server: Server, each: dict[int, httpx.Client]
) -> None:
    """It is stopped with a request in hand, and one in its socket; the other answers meanwhile."""
    got: list[Any] = []

    def ask(path: str) -> None:
        try:
            got.append(httpx.post(f"{server.url}{path}", timeout=60))
        except httpx.TransportError as error:
            got.append(error)

    stopped = pids(server)[1]
    before = scrape(each[0])
    restarts, images = "orbitserve_worker_restarts_total", "orbitserve_audit_images_total"
    threads = [
        threading.Thread(target=ask, args=("/models/turning/audit?angles=100",)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    with httpx.Client(base_url=server.url) as client:
        wait_until(lambda: scrape(client)(images) > before(images))
    os.kill(stopped, signal.SIGSTOP)
    with suppress(httpx.TransportError):
        each[1].post("/classify", content=GREY, headers=NPY)
        raise AssertionError("a worker that is stopped has answered")
    assert each[0].post("/classify", content=GREY, headers=NPY).status_code == 200
    for thread in threads:
        thread.join(60)
    ended = [answer for answer in got if isinstance(answer, httpx.TransportError)]
    assert len(got) == 4
    assert 0 < len(ended) < 4, "each worker had some of them"
    assert all(answer.status_code == 200 for answer in got if answer not in ended)
    wait_until(lambda: pids(server)[1] != stopped)
    wait_until_ready(server)
    assert scrape(each[0])(restarts) == before(restarts) + 1
    (told,) = [line for line in events(server, "worker hangs") if line["pid"] == stopped]
    assert told["silent_seconds"] == SILENT_SECONDS


def test_while_a_worker_is_replaced_the_others_answer_all(
    server: Server, each: dict[int, httpx.Client]
) -> None:
    """Each request has a connection of its own, and only the one under way may be lost."""
    before = pids(server)[0]
    statuses: list[int] = []
    lost = 0
    os.kill(before, signal.SIGKILL)
    while pids(server)[0] == before or httpx.get(f"{server.url}/readyz").status_code != 200:
        try:
            answer = httpx.post(f"{server.url}/classify", content=GREY, headers=NPY)
            statuses.append(answer.status_code)
        except httpx.TransportError:
            lost += 1
    assert set(statuses) == {200}
    assert lost <= 1


def test_grpc_has_the_same_port_at_both(server: Server, each: dict[int, httpx.Client]) -> None:
    lines = [line for line in server.log if "gRPC running on" in line]
    (port,) = {found[1] for line in lines if (found := re.search(r"127\.0\.0\.1:(\d+)", line))}

    def call(path: str, sent: Any) -> int:
        """Call over a connection of its own; return the worker that answered."""
        identity = uuid4().hex
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            channel.unary_unary(f"/inference.GRPCInferenceService/{path}")(
                sent.SerializeToString(), metadata=[("x-request-id", identity)], timeout=120
            )
        return worker_of(server, identity)

    asked = message("ServerMetadataRequest")()
    found: set[int] = set()
    wait_until(lambda: found.add(call("ServerMetadata", asked)) or len(found) == 2)
    unload = message("RepositoryModelUnloadRequest")(model_name="plain")
    call("RepositoryModelUnload", unload)
    assert {c.get("/v2/models/plain/ready").status_code for c in each.values()} == {503}
    call("RepositoryModelLoad", message("RepositoryModelLoadRequest")(model_name="plain"))
    assert {c.get("/v2/models/plain/ready").status_code for c in each.values()} == {200}


def test_a_worker_that_dies_at_each_start_ends_the_service(repository: Path) -> None:
    process = start(["serve"], environment(repository, **OPTIONS))
    try:
        assert process.stderr
        killed = 0
        last = ""
        for line in process.stderr:
            last = line
            with suppress(json.JSONDecodeError, KeyError):
                said = json.loads(line)
                if said["event"] == "worker started" and said["worker"] == 1:
                    os.kill(said["pid"], signal.SIGKILL)
                    killed += 1
        assert process.wait(60) == 3
    finally:
        process.end()
    assert killed >= 3
    assert re.fullmatch(
        r"orbitserve: A worker ended 3 times in a row before it had loaded its models, the last "
        r"time with the signal SIGKILL; the log may say why\.\n",
        last,
    )
