"""Over HTTP, reports of the ledger are compared, and a model's audits are shown as a history."""

import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import Report
from audit.canonical import report_digest
from audit.comparison import Comparison, Margins, compare
from audit.history import History
from audit.reading import parse_report
from audit.render.comparison import COMPARISON_FORMATS
from audit.report import Accuracy
from imaging import RefusedError
from service.ledger import open_ledger
from tests.audit.compared import losing, still
from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


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
    translated = media_type != "application/json"
    assert answer.headers["Vary"] == ("Accept, Accept-Language" if translated else "Accept")


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


# --- reports that are sent --------------------------------------------------------------------


SENT = "/audits/compare"


@pytest.fixture(scope="module")
def reports() -> tuple[bytes, bytes]:
    before = still(60, files=[f"{n}.png" for n in range(60)])
    pair = before.report(), losing(before, *range(0, 60, 3)).report()
    return pair[0].model_dump_json().encode(), pair[1].model_dump_json().encode()


@pytest.fixture
def as_json(reports: tuple[bytes, bytes]) -> bytes:
    return b'{"a": %b, "b": %b}' % reports


async def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    return str(answer.json()["error"])


async def test_two_reports_are_compared_without_a_ledger(
    client: httpx.AsyncClient, reports: tuple[bytes, bytes], as_json: bytes
) -> None:
    expected = compare(*map(Report.model_validate_json, reports), Margins(margin=0.3))
    assert expected.verdict == "FAIL"
    sent = await client.post(f"{SENT}?margin=0.3", content=as_json, headers=JSON)
    assert sent.status_code == 200, sent.text
    assert Comparison.model_validate_json(sent.content) == expected
    files = {"b": ("new.json", reports[1]), "a": ("old.json", reports[0])}
    assert (await client.post(f"{SENT}?margin=0.3", files=files)).content == sent.content
    packed = gzip.compress(as_json)
    headers = {**JSON, "Content-Encoding": "gzip"}
    again = await client.post(f"{SENT}?margin=0.3", content=packed, headers=headers)
    assert again.content == sent.content


async def test_reports_that_are_sent_are_compared_as_those_of_the_ledger(
    kept: httpx.AsyncClient, images: Any
) -> None:
    a, b = [await audited(kept, model, images[:40]) for model in ("turning", "plain")]
    stored = [(await kept.get(f"/audits/{digest}")).json() for digest in (a, b)]
    sent = await kept.post(SENT, json=dict(zip("ab", stored, strict=True)))
    found = Comparison.model_validate_json(sent.content)
    expected = Comparison.model_validate_json((await kept.get(f"{SENT}?a={a}&b={b}")).content)
    sides = {"baseline", "candidate"}  # where the images lay is in the ledger, and not in evidence
    assert found.model_dump(exclude=sides) == expected.model_dump(exclude=sides)
    assert (found.baseline.report, found.candidate.report) == (a, b)


@pytest.mark.parametrize(
    ("query", "headers", "media_type", "says"),
    [
        ("?format=html", {"Accept-Language": "de"}, "text/html", "Was behauptet wird"),
        ("?format=text", {}, "text/plain", "What is claimed"),
        ("", {"Accept": "text/html"}, "text/html", "What is claimed"),
        ("", {"Accept-Language": "de"}, "application/json", '"claim"'),
    ],
)
async def test_what_is_sent_has_the_form_and_language_that_are_asked_for(
    client: httpx.AsyncClient,
    as_json: bytes,
    query: str,
    headers: dict[str, str],
    media_type: str,
    says: str,
) -> None:
    answer = await client.post(SENT + query, content=as_json, headers={**JSON, **headers})
    assert answer.headers["Content-Type"].startswith(media_type)
    assert says in answer.text
    assert ("Content-Language" in answer.headers) == (media_type != "application/json")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "is empty"),
        (b"{", 400, "is not JSON"),
        (b"[" * 100_000, 400, "is not JSON"),
        (b'{"a": {}, "a": {}, "b": {}}', 400, "'a' is there twice"),
        (b'{"a": {"x": 1, "x": 2}, "b": {}}', 400, "'x' is there twice"),
        (b"[]", 422, "is no JSON object"),
        (b'{"a": {}}', 422, "lacks the report 'b'"),
        (b'{"a": {}, "b": {}, "c": {}}', 422, "'c' is not known"),
        (b'{"a": {}, "b": []}', 422, "'b' is no JSON object"),
        (b'{"a": {}, "b": {}}', 422, "The report 'a' is no report of an audit (at verdict"),
        (b'{"b": {}, "a": {"x": [' + b"0," * 2**19 + b"0]}}", 413, "hold too many values; at most"),
        (b'{"b": {}, "a": {"x": [' + b"[" * 2**20, 413, "hold too many values; at most"),
    ],
)
async def test_a_body_that_is_not_two_reports_is_refused(
    client: httpx.AsyncClient, body: bytes, status: int, said: str
) -> None:
    answer = await client.post(SENT, content=body, headers=JSON)
    assert said in await refused(answer, status)


async def test_files_that_are_not_two_reports_are_refused(
    client: httpx.AsyncClient, reports: tuple[bytes, bytes]
) -> None:
    a, b = reports
    cases: list[tuple[list[tuple[str, Any]], int, str]] = [
        ([("a", ("a", a))], 422, "lacks the report 'b'"),
        ([("a", ("a", a)), ("a", ("b", b))], 422, "'a' is there twice"),
        ([("a", ("a", a)), ("c", ("b", b))], 422, "'c' is not known"),
        ([("a", ("a", a)), ("b", ("b", b)), ("c", ("c", b))], 413, "holds 3 files; at most 2"),
        ([("a", ("a", a)), ("b", ("b", b"\x89PNG"))], 400, "The file 'b' is not JSON"),
        ([("a", ("a", a)), ("b", (None, b))], 422, "The form field 'b' is no file"),
    ]
    for files, status, said in cases:
        assert said in await refused(await client.post(SENT, files=files), status)
    answer = await client.post(SENT, content=a, headers={"Content-Type": "image/png"})
    assert "two reports are accepted" in await refused(answer, 415)


@pytest.mark.slow
async def test_reports_beyond_the_limits_are_refused(
    open_client: Any, repository: Path, as_json: bytes
) -> None:
    options = {"threads": 1, "proof": "off", "max_audit_images": 59}
    async with open_client(repository, **options) as client:
        answer = await client.post(SENT, content=as_json, headers=JSON)
        assert "is of 60 images; at most 59" in await refused(answer, 413)
    options = {"threads": 1, "proof": "off", "max_body_bytes": len(as_json) - 1}
    async with open_client(repository, **options) as client:
        await refused(await client.post(SENT, content=as_json, headers=JSON), 413)


@pytest.mark.slow
@given(data=st.data())
def test_reports_that_no_audit_wrote_are_compared_or_refused(data: st.DataObject) -> None:
    """Whatever stands in a report, it has a comparison in every form, or a sentence."""
    before = still(6, files=[f"{n}.png" for n in range(6)])
    pair = [made.report().model_dump(mode="json") for made in (before, losing(before, 3))]
    for _ in range(data.draw(st.integers(1, 2))):
        _spoil(pair[data.draw(st.integers(0, 1))], data)
    try:
        reports = [parse_report(document, "It") for document in pair]
        comparison = compare(*reports)
    except RefusedError as error:
        assert str(error).endswith(".")
        return
    for form in COMPARISON_FORMATS:
        assert COMPARISON_FORMATS[form].write(comparison)


def test_a_report_that_is_no_text_is_refused() -> None:
    """Parsed JSON may hold what JSON in bytes cannot."""
    document = still(6).report().model_dump(mode="json")
    document["group"] = "\ud800"
    with pytest.raises(RefusedError, match="half of a pair of surrogates"):
        parse_report(document, "It")


def test_many_faults_of_a_report_are_counted() -> None:
    document = still(6).report().model_dump(mode="json")
    document["claim"] = [0] * 100_000
    with pytest.raises(RefusedError, match=r"It is no report .* \(it is wrong in 100000 places\)"):
        parse_report(document, "It")


def test_a_report_that_readers_could_differ_about_is_refused() -> None:
    content = still(6).report().model_dump_json().encode()
    twice = content.replace(b'{"verdict":', b'{"verdict":"FAIL","verdict":', 1)
    for other in (twice, b"[" * 9999, b"[]", b"\xff", content.decode().encode("utf-16")):
        with pytest.raises(RefusedError, match="It is no report of an audit"):
            parse_report(other, "It")
    assert parse_report(content, "It").verdict == still(6).report().verdict


ODD = (None, -1, 0, 1, 2**31, 2**63, 2**70, -0.5, 1e300, 1e-300, "", "x", "\ud800", [], {}, True)


def _spoil(document: Any, data: st.DataObject) -> None:
    """Put something odd in a place of a document, or take it away."""
    while True:
        keys = range(len(document)) if isinstance(document, list) else [*document]
        key = data.draw(st.sampled_from(keys))
        inside = document[key]
        if not isinstance(inside, (list, dict)) or not inside or data.draw(st.integers(0, 9)) == 0:
            break
        document = inside
    if isinstance(document, list) and data.draw(st.booleans()):
        del document[key]
    else:
        document[key] = data.draw(st.sampled_from(ODD))


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


@pytest.mark.parametrize("place", ["accuracy", "classes", "worst"])
async def test_a_report_that_contradicts_itself_is_told_and_the_others_are_shown(
    kept: httpx.AsyncClient, images: Any, tmp_path: Path, place: str
) -> None:
    """Whoever can write to the ledger had every page of the model's history fail, or its own."""
    digest = await audited(kept, "turning", images[:5])
    report = Report.model_validate_json((await kept.get(f"/audits/{digest}")).content)
    figures = report.figures
    changed: Any = Accuracy.model_construct(correct=0, count=0, interval=figures.agreement_interval)
    if place == "classes":
        changed = (replace(figures.classes[0], images=0), *figures.classes[1:])
    forged = report.model_copy(update={"figures": figures.model_copy(update={place: changed})})
    if place == "worst":
        other = report.worst[0].model_copy(update={"index": 5})
        forged = report.model_copy(update={"worst": (other, *report.worst[1:])})
    open_ledger(str(tmp_path)).append(forged)
    shown = await kept.get(f"/audits/{report_digest(forged)}?format=html")
    assert (shown.status_code, "contradicts itself (at " in shown.text) == (406, True)
    history = (await kept.get("/audits/history?model=turning")).json()
    assert [each["report"] for each in history["points"]] == [digest]
    assert any("another schema" in fault for fault in history["faults"])
