"""Over HTTP, reports of the ledger are compared, and a model's audits are shown as a history."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit import Report
from audit.comparison import Comparison, Margins, compare
from audit.history import History
from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kept(open_client: Any, repository: Path, tmp_path: Path) -> AsyncIterator[Any]:
    async with open_client(repository, ledger=str(tmp_path), threads=1, proof="off") as client:
        yield client


async def audited(client: httpx.AsyncClient, model: str, images: Any) -> str:
    """Audit, and return the digest of the report."""
    answer = await client.post(f"/models/{model}/audit", content=npy(images), headers=NPY)
    assert answer.status_code == 200
    return str(answer.headers["Content-Location"].rpartition("/")[2])


async def sentence(client: httpx.AsyncClient, path: str, status: int) -> str:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    return str(answer.json()["error"])


# --- comparisons ------------------------------------------------------------------------------


async def test_two_reports_are_compared_as_here(kept: httpx.AsyncClient, images: Any) -> None:
    a, b = [await audited(kept, model, images[:40]) for model in ("turning", "plain")]
    answer = await kept.get(f"/audits/compare?a={a}&b={b}")
    assert answer.status_code == 200
    found = Comparison.model_validate_json(answer.content)
    reports = [
        Report.model_validate_json((await kept.get(f"/audits/{digest}")).content)
        for digest in (a, b)
    ]
    expected = compare(*reports)
    sides = {"baseline", "candidate"}  # where the images lay is no evidence, and not in the JSON
    assert found.model_dump(exclude=sides) == expected.model_dump(exclude=sides)
    assert (found.baseline.report, found.candidate.report) == (a, b)
    assert found.verdict == "FAIL"
    other = Comparison.model_validate_json(
        (await kept.get(f"/audits/compare?a={b}&b={a}&margin=0.3&no_classes=true")).content
    )
    assert other.margins.margin == Margins(margin=0.3).margin
    assert (other.classes, other.verdict) == ((), "PASS")


@pytest.mark.parametrize(
    ("query", "headers", "media_type"),
    [
        ("&format=html", {}, "text/html"),
        ("&format=text", {"Accept": "text/html"}, "text/plain"),
        ("", {"Accept": "text/html,application/json;q=0.5"}, "text/html"),
        ("", {"Accept": "*/*"}, "application/json"),
    ],
)
async def test_a_comparison_has_the_form_that_is_asked_for(
    kept: httpx.AsyncClient, images: Any, query: str, headers: dict[str, str], media_type: str
) -> None:
    a = await audited(kept, "turning", images[:5])
    answer = await kept.get(f"/audits/compare?a={a}&b={a}{query}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(media_type)
    assert answer.headers["Vary"] == "Accept"


async def test_what_cannot_be_compared_is_a_sentence(
    kept: httpx.AsyncClient, images: Any, tmp_path: Path
) -> None:
    a = await audited(kept, "turning", images[:5])
    other = await audited(kept, "turning", images[5:10])
    path = f"/audits/compare?a={a}&b="
    assert "not on the same images" in await sentence(kept, path + other, 422)
    assert "no audit" in await sentence(kept, path + "0" * 64, 404)
    assert "'b' is wrong" in await sentence(kept, path + "none", 422)
    assert "'b' is wrong" in await sentence(kept, f"/audits/compare?a={a}", 422)
    assert "'margin' is wrong" in await sentence(kept, f"{path}{a}&margin=0", 422)
    assert "'margins' is not known" in await sentence(kept, f"{path}{a}&margins=1", 422)
    answer = await kept.get(path + a, headers={"Accept": "image/png"})
    assert answer.status_code == 406
    file = tmp_path / "reports" / f"{a}.json"
    file.write_bytes(file.read_bytes().replace(b'"INCONCLUSIVE"', b'"PASS"', 1))
    assert "was changed after" in await sentence(kept, path + a, 500)


async def test_without_a_ledger_nothing_is_compared(client: httpx.AsyncClient) -> None:
    for path in (f"/audits/compare?a={'0' * 64}&b={'0' * 64}", "/audits/history?model=turning"):
        assert "keeps no ledger" in await sentence(client, path, 404)


# --- history ----------------------------------------------------------------------------------


async def test_a_history_has_the_figures_of_each_audit(
    kept: httpx.AsyncClient, images: Any
) -> None:
    digests = [
        await audited(kept, model, images[:5])
        for model in ("turning/versions/2", "plain", "turning/versions/10", "turning/versions/2")
    ]
    answer = await kept.get("/audits/history?model=turning")
    history = History.model_validate_json(answer.content)
    assert [each.number for each in history.points] == [1, 3, 4]
    assert [each.version for each in history.points] == [2, 10, 2]
    assert [each.report for each in history.points] == [digests[0], digests[2], digests[3]]
    for point in history.points:
        report = Report.model_validate_json((await kept.get(f"/audits/{point.report}")).content)
        assert point.verdict == report.verdict
        assert point.agreement == report.figures.label_agreement
        assert point.deviation == report.figures.relative_logit_deviation
    listed = (await kept.get("/audits?model=turning")).json()["audits"]
    assert [each["number"] for each in listed] == [4, 3, 1]
    for query, numbers in (("version=2", [1, 4]), ("limit=2", [3, 4]), ("group=D4", [])):
        some = (await kept.get(f"/audits/history?model=turning&{query}")).json()
        assert [each["number"] for each in some["points"]] == numbers


async def test_a_history_s_page_leads_to_reports_and_comparisons(
    kept: httpx.AsyncClient, images: Any
) -> None:
    for version in (2, 10):
        await audited(kept, f"turning/versions/{version}", images[:5])
    answer = await kept.get("/audits/history?model=turning", headers={"Accept": "text/html"})
    assert answer.headers["Content-Type"].startswith("text/html")
    page = answer.text
    links = [part.split('"')[0] for part in page.split('<a href="')[1:]]
    assert len(links) == 3
    for link in links:
        followed = await kept.get(link.replace("&amp;", "&"))
        assert followed.status_code == 200
        assert followed.headers["Content-Type"].startswith("text/html")


async def test_a_report_that_was_changed_is_told_and_the_others_are_shown(
    kept: httpx.AsyncClient, images: Any, tmp_path: Path
) -> None:
    first = await audited(kept, "turning/versions/2", images[:5])
    await audited(kept, "turning/versions/10", images[:5])
    file = tmp_path / "reports" / f"{first}.json"
    file.write_bytes(file.read_bytes().replace(b'"INCONCLUSIVE"', b'"PASS"', 1))
    history = (await kept.get("/audits/history?model=turning")).json()
    assert [each["version"] for each in history["points"]] == [10]
    assert any("was changed after" in fault for fault in history["faults"])
    page = (await kept.get("/audits/history?model=turning&format=html")).text
    assert "The ledger is not whole" in page


async def test_a_report_that_is_gone_is_told(
    kept: httpx.AsyncClient, images: Any, tmp_path: Path
) -> None:
    digest = await audited(kept, "turning", images[:5])
    (tmp_path / "reports" / f"{digest}.json").unlink()
    history = (await kept.get("/audits/history?model=turning")).json()
    assert history["points"] == []
    assert any(digest in fault for fault in history["faults"])
