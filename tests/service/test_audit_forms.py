"""What an audit can be asked for over HTTP, and in which form it is answered."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit import AnglePlan, AngleThresholds, Report, ResolvedOptions, Thresholds
from audit.render import FORMATS, render
from imaging import Resampler
from service.audits.run import audit_model, cost
from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio

AUDIT = "/models/turning/audit"
JSON = "application/json"


@pytest.fixture(scope="module")
def some(images: Any) -> bytes:
    return npy(images[:20])


async def ask(
    client: httpx.AsyncClient, content: bytes, query: str = "", **headers: str
) -> httpx.Response:
    return await client.post(f"{AUDIT}?{query}", content=content, headers=NPY | headers)


# --- parameters -------------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_report_is_the_one_that_the_same_options_give_without_http(
    client: httpx.AsyncClient, images: Any, some: bytes
) -> None:
    model = client.data_plane.repository.find("turning")
    query = (
        "angles=8&resampler=bicubic&seed=5&angle_agreement=0.6&exhaustive_angles=true&exhaustive_images=2"
        "&confidence=0.9&group=C2"
    )
    answer = await ask(client, some, query)
    assert answer.status_code == 200, answer.text
    directly = await asyncio.to_thread(
        audit_model,
        model,
        ResolvedOptions(
            group="C2",
            thresholds=Thresholds(confidence=0.9),
            angles=AnglePlan(8, Resampler("bicubic"), 5),
            angle_thresholds=AngleThresholds(agreement=0.6, confidence=0.9),
            exhaustive_images=2,
        ),
        images=images[:20],
    )
    assert answer.content == render(directly, "json")
    assert directly.exhaustive_angles is not None
    assert len(directly.exhaustive_angles.images) == 2
    assert directly.thresholds.confidence == 0.9


async def test_without_angles_none_are_tried(client: httpx.AsyncClient, some: bytes) -> None:
    report = (await ask(client, some, "resampler=nearest&exhaustive_images=3")).json()
    assert (report["angles"], report["exhaustive_angles"]) == (None, None)


@pytest.mark.slow
async def test_equal_questions_with_angles_get_equal_bytes(
    client: httpx.AsyncClient, some: bytes
) -> None:
    query = "angles=8&seed=3&exhaustive_angles=true&exhaustive_images=1"
    answers = [await ask(client, some, query) for _ in range(2)]
    assert answers[0].status_code == 200
    assert answers[0].content == answers[1].content
    other = await ask(client, some, query.replace("seed=3", "seed=4"))
    assert other.content != answers[0].content


async def test_labels_give_an_accuracy(client: httpx.AsyncClient, some: bytes) -> None:
    labels = [("labels", "bee")] * 20
    answer = await client.post(AUDIT, params=labels, content=some, headers=NPY)
    accuracy = answer.json()["figures"]["accuracy"]
    assert accuracy["count"] == 20
    classified = await client.post("/models/turning/classify", content=some, headers=NPY)
    bees = [each["label"] for each in classified.json()["predictions"]].count("bee")
    assert accuracy["correct"] == bees
    assert 0 < bees < 20
    other_case = await ask(client, some, "&".join(["labels=BEE"] * 20))
    assert other_case.json() == answer.json()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("angles=7", "'angles'"),
        ("angles=3601", "'angles'"),
        ("angles=8&resampler=lanczos", "'resampler'"),
        ("angles=8&seed=-1", "'seed'"),
        (f"angles=8&seed={2**63}", "'seed'"),
        ("angles=8&angle_agreement=1", "'angle_agreement'"),
        ("exhaustive_angles=perhaps", "'exhaustive_angles'"),
        ("exhaustive_angles=true&exhaustive_images=0", "'exhaustive_images'"),
        ("format=pdf", "'format'"),
        ("labels=bee", "1 labels for 20 images"),
        ("&".join(["labels=cow"] * 20), "Image 1 has the label 'cow', which is no class"),
    ],
)
async def test_what_cannot_be_asked_for_is_a_sentence(
    client: httpx.AsyncClient, some: bytes, query: str, names: str
) -> None:
    refused = await ask(client, some, query)
    assert refused.status_code == 422
    assert refused.json().keys() == {"error"}
    assert names in refused.json()["error"]


async def test_labels_without_images_are_refused(client: httpx.AsyncClient) -> None:
    refused = await client.post(f"{AUDIT}?labels=bee")
    assert refused.status_code == 422
    assert "the bundled audit set has its own" in refused.json()["error"]


async def test_one_request_cannot_ask_for_days(
    open_client: Any, repository: Path, images: Any
) -> None:
    async with open_client(repository, max_audit_classifications=2000, threads=1) as client:
        model = client.data_plane.repository.find("turning")
        allowed = max(
            n for n in range(1, 500) if cost(model, n, ResolvedOptions("C4", Thresholds())) <= 2000
        )
        for count, status in ((allowed, 200), (allowed + 1, 422)):
            answer = await ask(client, npy(images[:count]))
            assert answer.status_code == status, answer.text
        assert "at most 2000 are accepted" in answer.json()["error"]
        bundled = await client.post(f"{AUDIT}?angles=3600")
        assert bundled.status_code == 422


@pytest.mark.parametrize(
    ("group", "angles", "exhaustive_angles"),
    [("C4", None, 0), ("C2", 8, 0), ("D4", 9, 0), ("C4", 8, 3)],
)
async def test_an_audit_classifies_as_many_images_as_was_said(
    client: httpx.AsyncClient, images: Any, group: str, angles: int | None, exhaustive_angles: int
) -> None:
    model = client.data_plane.repository.find("turning")
    plan = None if angles is None else AnglePlan(angles)
    options = ResolvedOptions(group, Thresholds(), angles=plan, exhaustive_images=exhaustive_angles)
    told: list[tuple[int, int]] = []
    before = model.statistics.audited.count
    await asyncio.to_thread(
        audit_model,
        model,
        options,
        images=images[:70],
        progress=lambda done, total: told.append((done, total)),
    )
    said = cost(model, 70, options)
    classified = model.statistics.audited.count - before
    assert classified == said if not exhaustive_angles else 0 < classified <= said
    assert told == sorted(told)
    assert told[-1] == (said, said)
    assert told[-2][0] == classified


# --- forms ------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_every_form_is_answered_by_name_and_by_type(
    client: httpx.AsyncClient, some: bytes
) -> None:
    report = Report.model_validate_json((await ask(client, some)).content)
    for form, rendering in FORMATS.items():
        for query, accept in (
            (f"format={form}", "application/x-nothing"),
            ("", f"{rendering.media_type}, */*;q=0.1"),
        ):
            answer = await ask(client, some, query, Accept=accept)
            assert answer.status_code == 200, answer.text
            assert answer.content == rendering.render(report)
            assert answer.headers["Content-Type"].startswith(rendering.media_type)
            assert answer.headers["Vary"].split(", ")[0] == "Accept"


@pytest.mark.slow
async def test_people_read_the_language_that_they_accept_most(
    client: httpx.AsyncClient, some: bytes
) -> None:
    report = Report.model_validate_json((await ask(client, some)).content)
    for accepted, language in (("de-AT, en;q=0.5", "de"), ("fr", "en")):
        for form in ("text", "html"):
            answer = await ask(client, some, f"format={form}", **{"Accept-Language": accepted})
            assert answer.content == render(report, form, language=language)  # type: ignore[arg-type]
            assert answer.headers["Content-Language"] == language
            assert answer.headers["Vary"] == "Accept, Accept-Language"


@pytest.mark.slow
async def test_programs_read_one_language(client: httpx.AsyncClient, some: bytes) -> None:
    for form in ("json", "junit", "sarif", "in-toto", "cyclonedx"):
        german = await ask(client, some, f"format={form}", **{"Accept-Language": "de"})
        assert german.content == (await ask(client, some, f"format={form}")).content
        assert german.headers["Vary"] == "Accept"
        assert "Content-Language" not in german.headers


async def test_a_form_that_is_not_accepted_costs_no_audit(
    client: httpx.AsyncClient, some: bytes
) -> None:
    model = client.data_plane.repository.find("turning")
    before = model.statistics.audited.count
    assert (await ask(client, some, Accept="image/png")).status_code == 406
    assert (await ask(client, some, "format=pdf")).status_code == 422
    assert model.statistics.audited.count == before


async def test_all_forms_are_documented(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    types = {rendering.media_type for rendering in FORMATS.values()}
    for path, verb, more in (
        ("/models/{name}/audit", "post", {"text/event-stream"}),
        ("/audits/{digest}", "get", set()),
        ("/audits/jobs/{job}/report", "get", set()),
    ):
        answers = document["paths"][path][verb]["responses"]
        assert set(answers["200"]["content"]) == types | more
        schema = answers["200"]["content"][JSON]["schema"]
        assert schema == {"$ref": "#/components/schemas/Report"}
        assert "406" in answers
