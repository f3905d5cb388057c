"""The command and the service, asked the same, give reports of one digest."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import audit.canonical
from artifact.audit_set import AuditSet, save_audit_set
from audit.canonical import document_digest
from service.ledger import open_ledger
from tests.program import run
from tests.service.processes import NPY, Server, environment, npy, serving

pytestmark = pytest.mark.slow

MODEL, PATH = "turning/10", "/models/turning/versions/10/audit"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture(scope="module")
def server(repository: Path, book: Path) -> Iterator[Server]:
    with serving(repository, ledger=book) as running:
        yield running


@pytest.fixture(scope="module")
def some(images: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit set of forty images."""
    path = tmp_path_factory.mktemp("some") / "some.npz"
    save_audit_set(path, AuditSet(images[:40], None))
    return path


@functools.cache  # a folder's images do not change
def by_command(repository: Path, *options: object) -> dict[str, Any]:
    done = run(["audit", MODEL, *map(str, options), "--json"], environment(repository))
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def over_http(server: Server, query: str = "", **request: Any) -> dict[str, Any]:
    answer = httpx.post(f"{server.url}{PATH}?{query}", timeout=120, **request)
    assert answer.status_code == 200, answer.text
    digest = document_digest(answer.json())
    assert answer.headers["Content-Location"] == f"/audits/{digest}"
    report: dict[str, Any] = answer.json()
    return report


@pytest.mark.parametrize("asked", [{}, {"agreement": 0.9, "angles": 8, "exhaustive_images": 1}])
def test_on_the_images_that_came_with_the_model(
    repository: Path, server: Server, asked: dict[str, Any]
) -> None:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    one, other = by_command(repository, *options), over_http(server, query)
    assert document_digest(one) == document_digest(other)


def test_on_images_of_ones_own(
    repository: Path, server: Server, book: Path, some: Path, images: Any, tmp_path: Path
) -> None:
    """As an audit set, as files, as the body of a request: where they lay is no evidence."""
    folder = tmp_path / "files"
    folder.mkdir()
    for i, image in enumerate(images[:40]):
        Image.fromarray(image[0]).save(folder / f"{i:02}.png")
    reports = [
        by_command(repository, "--images", some, "--ledger", book),
        by_command(repository, "--images", folder, "--ledger", book),
        over_http(server, content=npy(images[:40]), headers=NPY),
    ]
    (digest,) = {document_digest(each) for each in reports}
    assert len({each["data"]["source"] for each in reports}) == 3
    assert len({each["replay"] for each in reports}) == 3
    entries = [each for each in open_ledger(str(book)).page(10).entries if each.report == digest]
    assert len(entries) == 3
    assert len({each.circumstances for each in entries}) == 3
    # A page from the ledger says where they lay when they were last audited.
    page = httpx.get(f"{server.url}/audits/{digest}", params={"format": "text"}).text
    assert "uploaded with the request" in page
    assert httpx.get(f"{server.url}/audits").json()["faults"] == []


@pytest.mark.parametrize("left_in", [("replay",), ("data", "source")])
def test_evidence_that_held_how_it_was_asked_for_would_differ(
    repository: Path,
    server: Server,
    some: Path,
    images: Any,
    left_in: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mutants that the tests above refuse."""
    one = by_command(repository, "--images", some)
    other = over_http(server, content=npy(images[:40]), headers=NPY)
    assert document_digest(one) == document_digest(other)
    kept = tuple(path for path in audit.canonical.CIRCUMSTANCES if path != left_in)
    monkeypatch.setattr(audit.canonical, "CIRCUMSTANCES", kept)
    assert document_digest(one) != document_digest(other)


@pytest.mark.parametrize("changed", ["images", "thresholds"])
def test_other_evidence_has_another_digest(
    repository: Path, some: Path, images: Any, tmp_path: Path, changed: str
) -> None:
    one = by_command(repository, "--images", some)
    if changed == "thresholds":
        two = by_command(repository, "--images", some, "--agreement", "0.9")
    else:
        other = tmp_path / "other.npz"
        save_audit_set(other, AuditSet(np.ascontiguousarray(np.flip(images[:40], 0)), None))
        two = by_command(repository, "--images", other)
    assert document_digest(one) != document_digest(two)
