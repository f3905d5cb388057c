"""Over HTTP, so many read reports at a time, some wait, and more are refused."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import service.api.audits.comparison
import service.api.audits.formats
from service.ledger.store import Store
from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio

READINGS = "32 readings of reports wait"
COMPARISONS = "8 comparisons wait"

MANY = 60
MAY = {READINGS: 34, COMPARISONS: 9}
"""How many run or wait."""


@pytest.fixture(scope="module")
async def kept(
    open_client: Any, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Any]:
    place = str(tmp_path_factory.mktemp("ledger"))
    async with open_client(repository, ledger=place, threads=1, proof="off") as client:
        yield client


Hold = Callable[[Any, str], None]


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    """Have whoever calls functions wait until the test ends."""
    ended = threading.Event()

    def held(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def wait(*arguments: Any, **options: Any) -> Any:
            ended.wait(60)
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, wait)

    yield held
    ended.set()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/audits", READINGS),
        ("/audits/history?model=turning", READINGS),
        (f"/audits/{'0' * 64}", READINGS),
        (f"/audits/compare?a={'0' * 64}&b={'0' * 64}", COMPARISONS),
    ],
)
async def test_a_ledger_that_hangs_is_not_read_without_end(
    kept: httpx.AsyncClient, hold: Hold, path: str, said: str
) -> None:
    hold(Store, "read")
    hold(Store, "names")
    await refuses_more(lambda: kept.get(path), said)
    assert (await kept.get("/metrics")).status_code == 200


async def test_no_more_reports_that_are_sent_wait_than_may(
    kept: httpx.AsyncClient, hold: Hold
) -> None:
    hold(service.api.audits.comparison, "read_reports")
    headers = {"Content-Type": "application/json"}
    ask = partial(kept.post, "/audits/compare", content=b"{}", headers=headers)
    await refuses_more(ask, COMPARISONS)


async def test_not_all_reports_of_jobs_are_written_out_at_once(
    kept: httpx.AsyncClient, images: Any, hold: Hold
) -> None:
    headers = NPY | {"Prefer": "respond-async"}
    answer = await kept.post("/models/turning/audit", content=npy(images[:5]), headers=headers)
    job = answer.headers["Location"]
    for _ in range(200):
        if (await kept.get(job)).json()["state"] == "done":
            break
        await asyncio.sleep(0.05)
    hold(service.api.audits.formats, "render")
    await refuses_more(lambda: kept.get(f"{job}/report?format=html"), READINGS)


async def refuses_more(ask: Callable[[], Coroutine[Any, Any, httpx.Response]], said: str) -> None:
    """Ask often for what does not come, and look who waits."""
    asked = [asyncio.create_task(ask()) for _ in range(MANY)]
    try:
        done, _ = await asyncio.wait(asked, timeout=20, return_when="FIRST_COMPLETED")
        assert done
        await asyncio.sleep(0.2)
        refused = [each.result() for each in asked if each.done()]
        assert len(refused) == MANY - MAY[said]
        for answer in refused:
            assert answer.status_code == 503
            assert said in answer.json()["error"]
            assert int(answer.headers["Retry-After"]) > 0
    finally:
        for each in asked:
            each.cancel()
