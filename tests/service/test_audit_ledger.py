"""Over HTTP, every audit is in the ledger before it is answered, and comes out of it whole."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit import Report
from audit.canonical import canonical_json, report_digest
from audit.render import FORMATS, render
from service.ledger import LedgerError, open_ledger
from service.settings import ConfigurationError
from tests.service.processes import NPY, npy
from tests.service.test_server import refusal

pytestmark = pytest.mark.anyio

AUDIT = "/models/turning/audit"


@pytest.fixture
async def kept(open_client: Any, repository: Path, tmp_path: Path) -> AsyncIterator[Any]:
    async with open_client(repository, ledger=str(tmp_path), threads=1, proof="off") as client:
        yield client


@pytest.fixture(scope="module")
async def shared(
    open_client: Any, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Any]:
    """One service for all tests that do not look at the whole of its ledger."""
    place = str(tmp_path_factory.mktemp("ledger"))
    async with open_client(repository, ledger=place, threads=1, proof="off") as client:
        yield client


@pytest.fixture(scope="module")
def few(images: Any) -> bytes:
    return npy(images[:5])


async def audit(client: httpx.AsyncClient, few: bytes, query: str = "", **headers: str) -> Any:
    return await client.post(f"{AUDIT}?{query}", content=few, headers=NPY | headers)


# --- storing ----------------------------------------------------------------------------------


async def test_an_audit_is_stored_before_it_is_answered(
    kept: httpx.AsyncClient, few: bytes, tmp_path: Path
) -> None:
    answer = await audit(kept, few)
    report = Report.model_validate_json(answer.content)
    path = answer.headers["Content-Location"]
    assert path == f"/audits/{report_digest(report)}"
    stored = await kept.get(path)
    assert stored.content == canonical_json(report)
    assert hashlib.sha256(stored.content).hexdigest() == path.rpartition("/")[2]
    file = tmp_path / "reports" / f"{report_digest(report)}.json"
    assert file.read_bytes() == stored.content


@pytest.mark.parametrize("asked", ["", "&pictures=true", "&pictures=false"])
async def test_pictures_of_what_was_uploaded_are_kept_unless_they_are_not_wanted(
    shared: httpx.AsyncClient, few: bytes, asked: str
) -> None:
    answer = await audit(shared, few, "angles=8" + asked)
    stored = Report.model_validate_json(
        (await shared.get(answer.headers["Content-Location"])).content
    )
    assert stored.angles is not None
    counterexamples = [
        *(each.counterexample for each in stored.worst),
        *stored.angles.counterexamples,
    ]
    shown = {each.rotated_png is not None for each in counterexamples}
    assert shown == {asked != "&pictures=false"}


@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}, {"Accept": "*/*"}])
async def test_no_report_that_cannot_be_stored_is_answered(
    kept: httpx.AsyncClient, few: bytes, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imaging.writing.os.link", full)
    answer = await audit(kept, few, **headers)
    if answer.status_code == 202:
        job = kept.app.state.job_queue.find(answer.json()["id"])
        await job.wait()
        answer = await kept.get(answer.headers["Location"])
        assert answer.json()["state"] == "failed"
        assert answer.json()["digest"] is None
    else:
        assert answer.status_code == 503
        assert answer.json().keys() == {"error"}
    assert "The ledger cannot be written (No space left on device)" in answer.json()["error"]
    assert (await kept.get("/audits")).json()["audits"] == []


async def test_a_job_names_the_report_in_the_ledger(shared: httpx.AsyncClient, few: bytes) -> None:
    answer = await audit(shared, few, Prefer="respond-async, wait=20")
    assert answer.status_code == 200
    started = await audit(shared, few, Prefer="respond-async")
    job = shared.app.state.job_queue.find(started.json()["id"])
    await job.wait()
    status = (await shared.get(started.headers["Location"])).json()
    assert status["report"] == f"/audits/{status['digest']}" == answer.headers["Content-Location"]
    assert (await shared.get(status["report"])).status_code == 200


async def test_a_very_large_report_is_answered_as_it_is_stored_and_not_read(
    shared: httpx.AsyncClient, few: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = (await audit(shared, few)).headers["Content-Location"]
    digest = path.rpartition("/")[2]
    monkeypatch.setattr("service.api.audits.stored._MOST_READ", 1000)
    assert (await shared.get(path)).status_code == 200
    refused = [
        await shared.get(f"{path}?format=html"),
        await shared.get(f"/audits/compare?a={digest}&b={digest}"),
    ]
    assert [answer.status_code for answer in refused] == [406, 422]
    assert all("has more than 0 MiB; " in answer.json()["error"] for answer in refused)


# --- listing ----------------------------------------------------------------------------------


async def test_the_list_is_filtered_and_goes_on(kept: httpx.AsyncClient, few: bytes) -> None:
    for model, version in (("turning", 10), ("plain", 1), ("turning", 2), ("turning", 10)):
        path = f"/models/{model}/versions/{version}/audit"
        assert (await kept.post(path, content=few, headers=NPY)).status_code == 200
    listed = (await kept.get("/audits")).json()
    assert [each["number"] for each in listed["audits"]] == [4, 3, 2, 1]
    assert (listed["faults"], listed["next"]) == ([], None)
    assert listed["audits"][0]["report"] == listed["audits"][3]["report"]

    async def numbers(query: str) -> list[int]:
        answer = await kept.get(f"/audits?{query}")
        assert answer.status_code == 200
        return [each["number"] for each in answer.json()["audits"]]

    assert await numbers("model=turning") == [4, 3, 1]
    assert await numbers("model=turning&version=2") == [3]
    assert await numbers("verdict=FAIL") == [2]
    assert await numbers("model=turning&verdict=FAIL") == []
    assert await numbers("before=3") == [2, 1]
    page = (await kept.get("/audits?model=turning&limit=2")).json()
    assert [each["number"] for each in page["audits"]] == [4, 3]
    rest = (await kept.get(page["next"])).json()
    assert [each["number"] for each in rest["audits"]] == [1]
    assert rest["head"] == page["head"]


async def test_what_was_done_to_the_ledger_is_told(
    kept: httpx.AsyncClient, few: bytes, tmp_path: Path
) -> None:
    for _ in range(3):
        await audit(kept, few)
    (tmp_path / "entries" / "0000000002.json").unlink()
    assert (await kept.get("/audits")).json()["faults"] == ["Entry 2 is missing."]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "before=0", "verdict=MAYBE", "version=0", "newest=1"]
)
async def test_a_list_that_cannot_be_made(shared: httpx.AsyncClient, query: str) -> None:
    refused = await shared.get(f"/audits?{query}")
    assert refused.status_code == 422
    assert repr(query.partition("=")[0]) in refused.json()["error"]


async def test_nothing_is_audited_for_a_ledger_that_takes_no_file(
    kept: httpx.AsyncClient, few: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def audited(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("it is of no use")

    monkeypatch.setattr("service.audits.run.run_pipeline", audited)
    monkeypatch.setattr("service.ledger.store.os.access", lambda *_, **__: False)
    refused = await audit(kept, few)
    assert refused.status_code == 503
    sentence = "The ledger cannot be written (Permission denied); the log says more."
    assert refused.json() == {"error": sentence}


async def test_a_ledger_that_cannot_be_read_is_unavailable(
    shared: httpx.AsyncClient, few: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise LedgerError("The ledger cannot be read (OSError); the log says more.")

    monkeypatch.setattr("service.ledger.store.Store.names", broken)
    monkeypatch.setattr("service.ledger.store.Store.read", broken)
    for path in ("/audits", f"/audits/{'0' * 64}"):
        refused = await shared.get(path)
        assert refused.status_code == 503
        assert "cannot be read (OSError)" in refused.json()["error"]


# --- one report -------------------------------------------------------------------------------


async def test_a_report_comes_in_every_form(shared: httpx.AsyncClient, few: bytes) -> None:
    answer = await audit(shared, few)
    path, report = answer.headers["Content-Location"], Report.model_validate_json(answer.content)
    for form, rendering in FORMATS.items():
        due = canonical_json(report) if form == "json" else render(report, form)
        for asked in ({"params": {"format": form}}, {"headers": {"Accept": rendering.media_type}}):
            shown = await shared.get(path, **asked)  # type: ignore[arg-type]
            assert shown.status_code == 200
            assert shown.content == due
            assert shown.headers["Content-Type"].startswith(rendering.media_type)
            assert ("immutable" in shown.headers["Cache-Control"]) == (form == "json")
            assert shown.headers["Vary"].split(", ")[0] == "Accept"


async def test_a_report_that_the_client_has_is_not_sent_again(
    shared: httpx.AsyncClient, few: bytes
) -> None:
    path = (await audit(shared, few)).headers["Content-Location"]
    tag = (await shared.get(path)).headers["ETag"]
    assert tag == f'"{path.rpartition("/")[2]}"'
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await shared.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == tag
    for other in ('"other"', tag.strip('"')):
        assert (await shared.get(path, headers={"If-None-Match": other})).status_code == 200
    text = await shared.get(path, params={"format": "text"}, headers={"If-None-Match": tag})
    assert text.status_code == 200
    assert text.headers["ETag"] != tag


async def test_a_stored_report_is_read_in_german(shared: httpx.AsyncClient, few: bytes) -> None:
    path = (await audit(shared, few)).headers["Content-Location"]
    asked = {"params": {"format": "html"}, "headers": {"Accept-Language": "de"}}
    german = await shared.get(path, **asked)  # type: ignore[arg-type]
    english = await shared.get(path, params={"format": "html"})
    assert b'<html lang="de">' in german.content
    assert german.headers["ETag"] != english.headers["ETag"]
    stored = await shared.get(path, headers={"Accept-Language": "de"})
    assert stored.content == (await shared.get(path)).content


async def test_a_report_that_was_changed_is_not_shown(
    kept: httpx.AsyncClient, few: bytes, tmp_path: Path
) -> None:
    path = (await audit(kept, few)).headers["Content-Location"]
    tag = (await kept.get(path)).headers["ETag"]
    (file,) = (tmp_path / "reports").iterdir()
    file.write_bytes(file.read_bytes().replace(b'"INCONCLUSIVE"', b'"PASS"', 1))
    for headers in ({}, {"If-None-Match": tag}, {"Accept": "text/plain"}):
        refused = await kept.get(path, headers=headers)
        assert refused.status_code == 500
        assert "was changed after it was stored" in refused.json()["error"]


async def test_a_report_of_another_schema_comes_as_json_alone(
    kept: httpx.AsyncClient, tmp_path: Path
) -> None:
    content = json.dumps({"schema_version": 99}).encode()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "reports" / f"{digest}.json").write_bytes(content)
    assert (await kept.get(f"/audits/{digest}")).content == content
    refused = await kept.get(f"/audits/{digest}?format=text")
    assert refused.status_code == 406
    assert "format=json is accepted" in refused.json()["error"]


@pytest.mark.parametrize(
    "digest", ["0" * 64, "none", "0" * 63, "A" * 64, "..%2Fentries%2F0000000001"]
)
async def test_what_is_not_there(shared: httpx.AsyncClient, few: bytes, digest: str) -> None:
    await audit(shared, few)
    refused = await shared.get(f"/audits/{digest}")
    assert refused.status_code == 404
    assert refused.json().keys() == {"error"}


# --- with and without one ---------------------------------------------------------------------


async def test_without_a_ledger_there_is_none(client: httpx.AsyncClient, few: bytes) -> None:
    assert "Content-Location" not in (await audit(client, few)).headers
    for path in ("/audits", f"/audits/{'0' * 64}"):
        refused = await client.get(path)
        assert refused.status_code == 404
        assert "keeps no ledger" in refused.json()["error"]


@pytest.mark.slow
async def test_a_ledger_is_gone_on_with(
    open_client: Any, repository: Path, few: bytes, tmp_path: Path
) -> None:
    for number in (1, 2):
        async with open_client(repository, ledger=f"file://{tmp_path}", proof="off") as client:
            await audit(client, few)
            assert (await client.get("/audits")).json()["audits"][0]["number"] == number
    assert open_ledger(str(tmp_path)).page(10).faults == ()


async def test_a_ledger_that_cannot_be_written_is_no_start(
    open_client: Any, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="The ledger cannot be written"):
        async with open_client(repository, ledger=str(tmp_path / "file")):
            pass


@pytest.mark.slow
def test_a_ledger_of_no_file_system_is_a_refusal(repository: Path) -> None:
    assert "The ledger cannot be opened: Protocol not known" in refusal(
        repository, ledger="nowhere://x"
    )
