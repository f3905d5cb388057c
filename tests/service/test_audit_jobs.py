"""Audits that take long: watched, fetched later, cancelled, refused where there are too many."""

import gc
import json
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from audit import Report
from audit.canonical import report_digest
from audit.render import render
from service.errors import BusyError
from service.ledger import open_ledger
from tests.service.processes import GREY, NPY, npy, serving
from tests.waiting import until, wait_until

pytestmark = pytest.mark.slow

AUDIT = "/models/turning/audit"
LONG = f"{AUDIT}?angles=2000"
"""Some seconds of batches: two million images of 8 x 8 pixels."""

ASYNC = {"Prefer": "respond-async"}
EVENTS = {"Accept": "text/event-stream"}
SECONDS = 120.0


@pytest.fixture(scope="module")
def server(listen: Any, repository: Path) -> Iterator[Any]:
    options = {"max_audits": 3, "max_audit_classifications": 10**7}
    with listen(repository, log_level="warning", **options) as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=SECONDS) as client:
        yield client
        wait_until_idle(server)  # none was left behind


def classified(server: Any) -> int:
    model = server.app.state.data_plane.repository.find("turning")
    count: int = model.statistics.audited.count
    return count


def wait_until_idle(server: Any) -> None:
    """Wait until no audit runs or waits any more."""
    queue = server.app.state.job_queue
    wait_until(lambda: not queue.pending)


def assert_alone(client: httpx.Client, server: Any) -> None:
    """Nothing is computed but what another audit asks for: they run one at a time."""
    count = classified(server)
    asked = ended(client, begin(client, content=npy(np.zeros((4, 1, 8, 8), np.uint8))))
    assert classified(server) - count == asked["done"]


def begin(client: httpx.Client, path: str = AUDIT, **more: Any) -> str:
    answer = client.post(path, headers=ASYNC | NPY, **more)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.json()["id"] == answer.headers["Location"].rpartition("/")[2]
    return answer.headers["Location"]


def ended(client: httpx.Client, job: str) -> Any:
    wait_until(lambda: client.get(job).json()["state"] not in ("waiting", "running"))
    return client.get(job).json()


# --- respond-async ----------------------------------------------------------------------------


def test_an_audit_is_answered_later_as_it_would_have_been_at_once(client: httpx.Client) -> None:
    job = begin(client)
    status = ended(client, job)
    assert status["state"] == "done"
    assert status["done"] == status["total"] > 500
    assert (status["model"], status["version"], status["verdict"]) == ("turning", 10, "PASS")
    report = client.get(status["report"])
    assert report.content == client.post(AUDIT).content
    assert status["digest"] == report_digest(Report.model_validate_json(report.content))
    text = client.get(status["report"], params={"format": "text"})
    assert text.content == render(Report.model_validate_json(report.content), "text")
    assert client.get(status["report"], headers={"Accept": "image/png"}).status_code == 406


def test_progress_goes_up_to_its_end(client: httpx.Client) -> None:
    job = begin(client, f"{AUDIT}?angles=12")
    seen = []
    while (status := client.get(job).json())["state"] in ("waiting", "running"):
        seen.append(status["done"])
        assert status["report"] is None
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert status["done"] == status["total"] >= max(seen)


def test_one_that_is_soon_done_is_answered_at_once(client: httpx.Client) -> None:
    answer = client.post(AUDIT, headers={"Prefer": "respond-async, wait=20"})
    assert answer.status_code == 200
    assert answer.content == client.post(AUDIT).content
    began = time.monotonic()
    answer = client.post(LONG, headers={"Prefer": "respond-async; foo=bar, wait=1"})
    assert answer.status_code == 202
    assert time.monotonic() - began >= 1
    client.delete(answer.headers["Location"])


def test_another_preference_changes_nothing(client: httpx.Client) -> None:
    for preference in ("wait=1", "respond-asynchronously", "return=minimal"):
        assert client.post(AUDIT, headers={"Prefer": preference}).status_code == 200


def test_a_question_that_cannot_be_asked_is_refused_at_once(client: httpx.Client) -> None:
    for query, body, status in (
        ("group=E8", b"", 422),
        ("labels=bee", b"", 422),
        ("", b"text", 400),
    ):
        answer = client.post(f"{AUDIT}?{query}", content=body, headers=ASYNC | NPY)
        assert answer.status_code == status, (query, answer.text)


def test_an_audit_that_fails_says_why(
    client: httpx.Client,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise KeyError("a mistake, with a secret")

    monkeypatch.setattr("service.audits.run.run_pipeline", broken)
    status = ended(client, begin(client))
    assert status["state"] == "failed"
    assert "its log says why" in status["error"]
    assert "secret" not in json.dumps(status)
    assert status["report"] is None
    (entry,) = (each for each in logged() if each["event"] == "an audit failed")
    assert entry["job"] == status["id"]
    assert "a mistake, with a secret" in str(entry["exception"])
    assert client.get(f"/audits/jobs/{status['id']}/report").status_code == 404
    answer = client.post(AUDIT)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "error" in events(client, AUDIT)[-1][0]


def test_a_job_that_is_not_there(client: httpx.Client) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/report")):
        answer = client.request(method, f"/audits/jobs/none{path}")
        assert answer.status_code == 404
        assert "no audit job 'none'" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/audits/jobs/none/report", f"/audits/{'0' * 64}"])
def test_a_misspelt_format_of_a_report_is_told(client: httpx.Client, path: str) -> None:
    """It was passed over, and the report came as JSON."""
    answer = client.get(path, params={"fromat": "html"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("The query parameter 'fromat' is not known")


def test_jobs_that_have_ended_are_kept_up_to_a_number(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.audits.job_queue._REMEMBERED", 2)
    few = npy(np.zeros((1, 1, 8, 8), np.uint8))
    jobs = []
    for _ in range(4):
        jobs.append(begin(client, content=few))
        ended(client, jobs[-1])
    found = [client.get(job).status_code for job in jobs]
    assert found == [404, 404, 200, 200]


def test_jobs_whose_reports_are_large_are_kept_up_to_so_many_bytes(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = npy(np.zeros((1, 1, 8, 8), np.uint8))
    jobs = [begin(client, content=few)]
    ended(client, jobs[0])
    size = len(client.get(f"{jobs[0]}/report").content)
    for room, kept in ((2 * size, 2), (1, 1)):
        monkeypatch.setattr("service.audits.job_queue._REMEMBERED_BYTES", room)
        for _ in range(2):
            jobs.append(begin(client, content=few))
            ended(client, jobs[-1])
        found = [client.get(job).status_code for job in jobs]
        assert found == [404] * (len(jobs) - kept) + [200] * kept


# --- cancelling -------------------------------------------------------------------------------


def test_a_job_that_is_cancelled_stops_computing(client: httpx.Client, server: Any) -> None:
    job = begin(client, LONG)
    wait_until(lambda: client.get(job).json()["done"] > 2000)
    status = client.delete(job).json()
    assert status["state"] == "cancelled"
    assert 0 < status["done"] < status["total"]
    wait_until_idle(server)
    assert_alone(client, server)
    assert client.get(job).json() == status == client.delete(job).json()
    assert "it is cancelled" in client.get(f"{job}/report").json()["error"]


def test_a_job_that_waits_is_cancelled_at_once(client: httpx.Client) -> None:
    first, second = begin(client, LONG), begin(client, LONG)
    assert client.get(second).json()["state"] == "waiting"
    assert client.delete(second).json()["state"] == "cancelled"
    assert client.get(second).json()["done"] == 0
    assert client.get(first).json()["state"] == "running"
    client.delete(first)


def test_a_job_that_is_done_stays_so(client: httpx.Client) -> None:
    job = begin(client)
    before = ended(client, job)
    assert client.delete(job).json() == before
    assert client.get(before["report"]).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, EVENTS, {"Prefer": "respond-async, wait=60"}],
    ids=["an answer", "events", "one that waits for a while"],
)
def test_a_client_that_hangs_up_ends_its_audit(
    client: httpx.Client, server: Any, headers: dict[str, str]
) -> None:
    count = classified(server)
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(server.address.split(":")) as impatient:
        impatient.sendall(f"POST {LONG} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        wait_until(lambda: classified(server) > count)
    wait_until_idle(server)
    assert classified(server) - count < 1_000_000
    assert_alone(client, server)


def test_a_client_that_hangs_up_does_not_end_a_job(client: httpx.Client, server: Any) -> None:
    with httpx.Client(base_url=server.url) as other:
        job = begin(other, f"{AUDIT}?angles=8")
    assert ended(client, job)["state"] == "done"


# --- too many ---------------------------------------------------------------------------------


def test_more_audits_than_may_wait_are_refused(client: httpx.Client) -> None:
    jobs = [begin(client, LONG) for _ in range(3)]
    for headers in ({}, ASYNC, EVENTS):
        refused = client.post(AUDIT, headers=headers)
        assert refused.status_code == 503
        assert "at most 3 may" in refused.json()["error"]
        assert int(refused.headers["Retry-After"]) >= 1
    assert client.post("/classify", content=GREY, headers=NPY).status_code == 200
    assert 'reason="full"' in client.get("/metrics").text
    client.delete(jobs[1])
    jobs.append(begin(client, LONG))
    for job in jobs:
        client.delete(job)
    assert client.post(AUDIT).status_code == 200


@pytest.mark.anyio
async def test_the_room_is_looked_at_again_when_an_audit_begins(
    open_client: Any, repository: Path
) -> None:
    """The first look comes before images are decoded, and others may begin meanwhile."""
    async with open_client(repository, max_audits=1, proof="off", threads=1) as opened:
        state = opened.app.state
        model, go = state.data_plane.repository.find(), threading.Event()

        def audit(progress: Any) -> Any:
            go.wait(SECONDS)
            progress(1, 2)
            raise ValueError("enough")

        job = state.job_queue.begin(model, audit, 2)
        with pytest.raises(BusyError):
            state.job_queue.begin(model, audit, 2)
        go.set()
        assert await job.wait(SECONDS)
        assert job.state == "failed"
        state.job_queue.check_room()


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
async def test_images_are_let_go_when_their_audit_has_ended(
    open_client: Any, repository: Path, end: str
) -> None:
    """Those who fetch the report later have 64 jobs remembered, of some 4096 images each."""
    async with open_client(repository, proof="off", threads=1) as opened:
        state = opened.app.state
        model, queue = state.data_plane.repository.find(), state.job_queue
        images, asked = np.zeros((4, 1, 8, 8), np.uint8), threading.Event()
        kept = weakref.ref(images)

        def audit(progress: Any, images: Any) -> Any:
            asked.wait(SECONDS)
            progress(len(images), 8)
            if end == "failed":
                raise ValueError("enough")
            return reported

        reported = Report.model_validate_json((await opened.post(AUDIT)).content)
        job = queue.begin(model, partial(audit, images=images), 8)
        queue.keep(job)
        del images
        await until(lambda: job.state == "running")
        if end == "cancelled":
            job.cancel()
        asked.set()
        assert await job.wait(SECONDS)
        assert queue.find(job.id).state == end
        await until(lambda: not queue.pending)
        gc.collect()
        assert kept() is None


@pytest.mark.anyio
async def test_images_of_audits_hold_no_more_than_requests_may(
    open_client: Any, repository: Path
) -> None:
    """A few bytes become an image of the model's size, for as long as its audit waits."""
    limits = {"max_body_bytes": 8000, "max_pending_bytes": 8000}
    async with open_client(repository, **limits) as client:

        async def ask(count: int) -> httpx.Response:
            pixels = npy(np.zeros((count, 1, 1, 1), np.uint8))
            answer: httpx.Response = await client.post(LONG, content=pixels, headers=ASYNC | NPY)
            return answer

        first = await ask(80)
        assert first.status_code == 202, first.text
        refused = await ask(80)
        assert refused.status_code == 503
        assert "hold too much; at most 8000 bytes" in refused.json()["error"]
        assert refused.headers["Retry-After"] == "1"
        refused = await ask(126)
        assert refused.status_code == 413
        assert "hold 8064 bytes once they have the model's size" in refused.json()["error"]
        await client.delete(first.headers["Location"])
        second = await ask(80)
        assert second.status_code == 202
        await client.delete(second.headers["Location"])


# --- events -----------------------------------------------------------------------------------


def events(client: httpx.Client, path: str, **headers: str) -> list[tuple[str, str]]:
    """Read server-sent events as HTML's standard has it: name and data."""
    found = []
    with client.stream("POST", path, headers=EVENTS | headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        name, data = "message", []
        for line in answer.iter_lines():
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif not line:
                found.append((name, "\n".join(data)))
                name, data = "message", []
    return found


def test_events_tell_the_progress_and_end_with_the_report(client: httpx.Client) -> None:
    path = f"{AUDIT}?angles=12"
    *progress, (name, report) = events(client, path)
    assert name == "report"
    assert report.encode() == client.post(path).content
    assert {kind for kind, _ in progress} == {"progress"}
    steps = [json.loads(data) for _, data in progress]
    done = [step["done"] for step in steps]
    assert done == sorted(done)
    assert len(set(done)) > 2
    assert steps[-1] == {"state": "done", "done": steps[0]["total"], "total": steps[0]["total"]}


def test_events_end_with_the_report_in_the_form_that_is_asked_for(client: httpx.Client) -> None:
    name, report = events(client, f"{AUDIT}?format=text")[-1]
    assert name == "report"
    assert report.encode() == client.post(f"{AUDIT}?format=text").content


def test_events_are_sent_where_they_are_accepted_most(client: httpx.Client) -> None:
    for accept in ("text/event-stream, application/json;q=0.9", "text/event-stream, */*"):
        assert events(client, AUDIT, Accept=accept)[-1][0] == "report"
    for accept in ("application/json, text/event-stream;q=0.9", "*/*"):
        answer = client.post(AUDIT, headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "application/json"


def test_what_is_refused_is_no_stream(client: httpx.Client) -> None:
    refused = client.post(f"{AUDIT}?group=E8", headers=EVENTS)
    assert refused.status_code == 422
    assert refused.json().keys() == {"error"}


# --- the service ends -------------------------------------------------------------------------


def test_a_job_under_way_is_finished_and_stored_before_it_ends(
    repository: Path, tmp_path: Path
) -> None:
    with serving(repository, default_model="turning", ledger=tmp_path) as server:
        with httpx.Client(base_url=server.url) as client:
            begin(client, f"{AUDIT}?angles=24")
        server.process.send_signal(signal.SIGTERM)
        assert server.end(SECONDS) == 0, server.log
    ledger = open_ledger(str(tmp_path))
    (entry,) = ledger.page(10).entries
    report = Report.model_validate_json(ledger.read(entry.report) or b"")
    assert report.angles is not None
    assert report.angles.sampling.count == 24
    assert "Traceback" not in "".join(server.log)


def test_a_job_that_takes_too_long_is_cancelled_and_named(repository: Path, tmp_path: Path) -> None:
    options = {
        "ledger": tmp_path,
        "shutdown_seconds": 1,
        "max_audit_classifications": 10**8,
        "shutdown_delay_seconds": 1,
    }
    with serving(repository, default_model="turning", **options) as server:
        with httpx.Client(base_url=server.url) as client:
            jobs = [begin(client, f"{AUDIT}?angles=3600") for _ in range(2)]
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: client.get("/readyz").status_code == 503)
            refused = client.post(AUDIT, headers=ASYNC)
            assert refused.status_code == 503
            assert "ending" in refused.json()["error"]
            assert client.post(AUDIT, headers=EVENTS | {"Accept": "x/y"}).status_code == 406
            assert client.get(jobs[0]).json()["state"] == "running"
        began = time.monotonic()
        assert server.end(SECONDS) == 0, server.log
        assert time.monotonic() - began < 8
    cancelled = [json.loads(line) for line in server.log if "audit cancelled" in line]
    assert {f"/audits/jobs/{each['job']}" for each in cancelled} == set(jobs)
    assert open_ledger(str(tmp_path)).page(10).entries == ()
    assert "Traceback" not in "".join(server.log)
