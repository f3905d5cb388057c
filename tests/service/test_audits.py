"""An audit says PASS of the invariant network and FAIL of the other, and keeps nobody waiting."""

import asyncio
import os
import shlex
import time
from importlib import metadata
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import onnxruntime
import pytest

from artifact.audit_set import AuditSet
from audit import Execution, Report, run_audit
from audit.machine import cpu_name
from imaging import png
from service.engine import Batch
from tests.program import run
from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio


async def audit(client: httpx.AsyncClient, path: str, content: bytes = b"") -> Report:
    response = await client.post(path, content=content, headers=NPY)
    assert response.status_code == 200, response.text
    assert next(iter(response.json())) == "verdict"
    return Report.model_validate_json(response.content)


async def test_the_invariant_network_passes(client: httpx.AsyncClient) -> None:
    report = await audit(client, "/models/turning/audit")
    assert report.verdict == "PASS", report.reasons
    assert report.figures.label_agreement == 1
    assert report.figures.relative_logit_deviation < 1e-5
    assert report.figures.label_entropy > 0.5
    assert report.self_test is not None
    assert report.self_test.passed
    assert (report.model.name, report.model.version) == ("turning", 10)
    assert report.data.source == "random numbers"


async def test_the_plain_network_fails(client: httpx.AsyncClient) -> None:
    report = await audit(client, "/models/plain/audit")
    assert report.verdict == "FAIL"
    assert report.group == "C4"
    assert report.figures.label_agreement < 0.9
    assert report.self_test is not None
    assert report.self_test.passed


async def test_uploaded_images_are_audited_as_the_bundled_ones_are(
    client: httpx.AsyncClient, images: Any
) -> None:
    bundled = await audit(client, "/models/turning/audit")
    uploaded = await audit(client, "/models/turning/versions/10/audit", npy(images))
    assert uploaded.data.source != bundled.data.source
    data = {"data": bundled.data, "replay": bundled.replay}
    assert uploaded.model_copy(update=data) == bundled


async def test_a_report_names_the_files_that_were_uploaded(
    client: httpx.AsyncClient, images: Any
) -> None:
    names = ["不良 1.png", "=cmd.png", "x" * 300, "", *(f"{i}.png" for i in range(4, 12))]
    pictures = [png(image) for image in images[: len(names)]]
    boundary = b"--b\r\n"
    body = b"".join(
        boundary
        + f'Content-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
        + picture
        + b"\r\n"
        for name, picture in zip(names, pictures, strict=True)
    )
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    path = "/models/turning/audit"
    response = await client.post(path, content=body + b"--b--\r\n", headers=form)
    assert response.status_code == 200, response.text
    report = Report.model_validate_json(response.content)
    due = [name[:255] or f"image {index}" for index, name in enumerate(names)]
    assert list(report.data.files) == due
    unnamed = await audit(client, path, npy(images[: len(names)]))
    assert unnamed.data.files == ()
    assert unnamed.figures == report.figures


@pytest.mark.slow
async def test_the_command_in_a_report_of_the_bundled_images_makes_the_same_report(
    client: httpx.AsyncClient, images: Any
) -> None:
    asked = "group=C2&agreement=0.9&logit_tolerance=0.001&angles=8&resampler=nearest&seed=3"
    asked += "&exhaustive_angles=true&exhaustive_images=1"
    path = f"/models/turning/audit?{asked}&pictures=false&format=json"
    response = await client.post(path)
    command = response.json()["replay"]
    assert command is not None
    assert "format" not in command
    given, _, asked = command.removeprefix("env ").partition("orbitserve ")
    environment = os.environ | dict(word.split("=", 1) for word in shlex.split(given))
    words = [*shlex.split(asked), "--json", "--progress", "none"]
    printed = await asyncio.to_thread(run, words, environment)
    assert printed.stdout == response.text, printed.stderr
    uploaded = await audit(client, "/models/turning/audit", npy(images[:64]))
    assert uploaded.replay is None  # their files are not known


async def test_the_audited_logits_are_those_that_are_served(
    client: httpx.AsyncClient, images: Any
) -> None:
    """The report is the one that the audit room makes of the answers' own session."""
    model = client.data_plane.repository.find("plain")
    over_http = await audit(client, "/models/plain/audit", npy(images[:100]))
    directly = run_audit(
        model.session.logits,
        images[:100],
        None,
        group="C4",
        thresholds=over_http.thresholds,
        model=over_http.model,
        source=over_http.data.source,
        self_test=over_http.self_test,
        proof=over_http.proof,
        execution=over_http.execution,
    )
    assert directly == over_http
    assert over_http.data.sha256 == AuditSet(images[:100]).sha256()


async def test_the_report_says_what_ran_the_model(open_client: Any, repository: Any) -> None:
    async with open_client(repository, threads=1) as client:
        report = await audit(client, "/models/turning/audit")
    assert report.execution == Execution(
        orbitserve=metadata.version("orbitserve"),
        runtime="onnxruntime",
        runtime_version=onnxruntime.__version__,
        provider="CPUExecutionProvider",
        threads=1,
        cpu=cpu_name() or None,
        device=None,
    )


async def test_equal_audits_get_equal_bodies(client: httpx.AsyncClient) -> None:
    answers = [await client.post("/models/turning/audit") for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1


async def test_few_images_are_inconclusive(client: httpx.AsyncClient, images: Any) -> None:
    report = await audit(client, "/models/turning/audit", npy(images[:50]))
    assert report.verdict == "INCONCLUSIVE"
    assert "The file is proved, but 50 images are too few" in report.reasons[0]
    report = await audit(client, "/models/turning/audit?agreement=0.9", npy(images[:50]))
    assert report.verdict == "PASS"
    assert report.proof is not None and report.proof.covers


async def test_without_a_proof_classes_have_to_be_seen(
    open_client: Any, repository: Any, images: Any
) -> None:
    async with open_client(repository, proof="off") as client:
        asked = "/models/turning/audit?agreement=0.9"
        report = await audit(client, asked, npy(images[:50]))
        assert report.verdict == "INCONCLUSIVE"
        assert report.proof is not None and report.proof.outcome is None
        assert "classes have too few images" in report.reasons[0]
        report = await audit(client, f"{asked}&no_classes=true", npy(images[:50]))
    assert report.verdict == "PASS"
    assert report.thresholds.class_agreement is None
    assert report.thresholds.agreement == 0.9


async def test_a_query_carries_what_is_said_and_asks_for_a_few(client: httpx.AsyncClient) -> None:
    said = quote('{"requirement": "R-12", "data": {"supplier": "Line 4"}}')
    report = await audit(client, f"/models/turning/audit?quick=true&about={said}")
    assert report.about is not None
    assert (report.about.requirement, report.about.data.supplier) == ("R-12", "Line 4")
    assert report.data.count == 100
    assert any("for a quick answer" in claim for claim in report.claim)
    for wrong in ("{", '{"other": "x"}', "[]", '{"auditor": "x", "auditor": "y"}'):
        path = f"/models/turning/audit?about={quote(wrong)}"
        assert (await client.post(path)).status_code == 422


async def test_a_larger_group_than_the_networks_fails(client: httpx.AsyncClient) -> None:
    report = await audit(client, "/models/turning/audit?group=D4")
    assert report.verdict == "FAIL"
    assert report.group == "D4"
    unturned = {each.element for each in report.figures.elements if not each.changed_labels}
    assert len(unturned) == 3


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("group=E8", "'E8'"),
        ("group=trivial", "'trivial'"),
        ("agreement=1.5", "'agreement'"),
        ("confidence=0", "'confidence'"),
        ("logit_tolerance=-1", "'logit_tolerance'"),
        ("logit_tolerance=nan", "'logit_tolerance'"),
        ("tolerance=1", "'tolerance'"),
        ("group=", "''"),
        ("seed=1&seed=2", "'seed' is there twice"),
        ("group=C4&gr%6Fup=C4", "'group' is there twice"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(
    client: httpx.AsyncClient, query: str, names: str
) -> None:
    response = await client.post(f"/models/turning/audit?{query}")
    assert response.status_code == 422
    assert response.json().keys() == {"error"}
    assert names in response.json()["error"]


async def test_bad_images_are_refused(client: httpx.AsyncClient) -> None:
    refused = await client.post("/models/turning/audit", content=b"text", headers=NPY)
    assert refused.status_code == 400
    assert (await client.post("/models/none/audit")).status_code == 404


async def test_more_images_than_the_limit_are_refused(open_client: Any, repository: Any) -> None:
    async with open_client(repository, max_audit_images=10) as client:
        many = npy(np.zeros((11, 1, 8, 8), np.uint8))
        response = await client.post("/models/turning/audit", content=many, headers=NPY)
        assert response.status_code == 413
        assert "at most 10" in response.json()["error"]


async def test_the_mutant_is_opened_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audit import mutate

    model = client.data_plane.repository.find()
    await client.post("/models/turning/audit")
    monkeypatch.setattr("service.engine.session.Graph", None)  # no other is opened
    await audit(client, "/models/turning/audit?agreement=0.9")
    images = model.audit_set().images
    mutant, same = map(model.session.sibling, (mutate(model.read_graph()), model.read_graph()))
    assert (mutant(images) != model.session.logits(images)).any()
    assert (same(images) == model.session.logits(images)).all()


class Runs:
    """Notes when each run of a graph began, and when the first request in it came."""

    def __init__(self) -> None:
        self.audit: list[float] = []
        self.requests: list[tuple[float, float]] = []

    def ran(self, batch: Batch) -> None:
        began = time.monotonic() - batch.compute_seconds
        if batch.priority == "audit":
            self.audit.append(began)
        else:
            self.requests.append((began - max(batch.queue_seconds), began))

    def overtook(self) -> int:
        """Return how many batches of audits began while one request waited, at the most."""
        return max(
            sum(came < began < served for began in self.audit) for came, served in self.requests
        )


@pytest.mark.slow
async def test_during_an_audit_probes_and_classifications_are_answered(
    client: httpx.AsyncClient,
) -> None:
    runs = Runs()
    client.data_plane.repository.find().session.observers.append(runs)
    many = np.random.default_rng(7).integers(0, 256, (1024, 1, 8, 8), dtype=np.uint8)
    auditing = asyncio.ensure_future(audit(client, "/models/turning/audit", npy(many)))
    probes = classifications = 0
    while not auditing.done():
        assert (await client.get("/healthz")).status_code == 200
        probes += 1
        answer = await client.post("/classify", content=npy(many[0]), headers=NPY)
        assert answer.status_code == 200
        classifications += not auditing.done()
    assert auditing.result().figures.images == 1024
    assert min(probes, classifications) >= 5
    assert len(runs.audit) > 25
    assert runs.overtook() <= 2  # one is due after every eight batches of requests
