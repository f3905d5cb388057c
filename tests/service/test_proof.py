"""The proof of what is loaded, over HTTP."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.proof import Proof, prove
from service.environment import read_settings
from service.settings import ConfigurationError

pytestmark = pytest.mark.anyio


async def ask(client: httpx.AsyncClient, path: str) -> Proof:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    assert next(iter(response.json())) == "outcome"
    return Proof.model_validate_json(response.content)


async def test_the_invariant_network_is_proved(client: httpx.AsyncClient, turning: bytes) -> None:
    proof = await ask(client, "/models/turning/proof")
    assert proof == prove(turning, "C4")
    assert proof.outcome == "PROVED"
    assert (await client.get("/models/turning")).json()["digest"] == f"sha256:{proof.sha256}"


async def test_each_version_has_its_own_proof(client: httpx.AsyncClient) -> None:
    latest = await ask(client, "/models/turning/proof")
    assert await ask(client, "/models/turning/versions/10/proof") == latest
    older = await ask(client, "/models/turning/versions/2/proof")
    assert (older.outcome, older.sha256 == latest.sha256) == ("PROVED", False)


async def test_the_plain_network_is_not_proved_and_it_says_why(client: httpx.AsyncClient) -> None:
    proof = await ask(client, "/models/plain/proof")
    assert proof.outcome == "NOT PROVED"
    assert proof.obstacle is not None
    assert proof.obstacle.op == "Conv"
    assert "no filter" in proof.reasons[0]


async def test_unknown_models_and_versions_are_refused(client: httpx.AsyncClient) -> None:
    for path in ("/models/none/proof", "/models/turning/versions/3/proof"):
        response = await client.get(path)
        assert response.status_code == 404
        assert set(response.json()) == {"error"}


async def test_a_proof_that_was_not_made_at_load_is_computed_once(
    open_client: Any, repository: Path, tmp_path: Path
) -> None:
    """The file is read for the first answer; one that is swapped later is not what was loaded."""
    copied = shutil.copytree(repository, tmp_path / "copy")
    async with open_client(copied, proof="off") as client:
        answers = await asyncio.gather(*(client.get("/models/turning/proof") for _ in range(4)))
        for version in (2, 10):
            (copied / "turning" / str(version) / "model.onnx").unlink()
        answers.append(await client.get("/models/turning/proof"))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        refused = await client.get("/models/turning/versions/2/proof")
        assert refused.status_code == 503
        assert "model.onnx cannot be read" in refused.json()["error"]


@pytest.mark.slow
async def test_constants_are_computed_by_the_runtime_too(
    open_client: Any, write_version: Any, tmp_path: Path, turning: bytes, doubtful: Any
) -> None:
    write_version(tmp_path, "turning", 1, doubtful(turning))
    for mode in ("report", "off"):
        async with open_client(tmp_path, proof=mode) as client:
            assert (await ask(client, "/models/turning/proof")).outcome == "PROVED"


@pytest.mark.parametrize("mode", ["report", "off"])
async def test_a_proof_past_its_limits_is_refused_and_tried_once(
    open_client: Any, repository: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is served, and whoever asks again costs no proof again.

    Those of loading are made in another process, and so not counted here.
    """
    tried = []

    def counted(*arguments: Any, **options: Any) -> Proof:
        tried.append(options["limits"])
        return prove(*arguments, **options)

    monkeypatch.setattr("audit.proving.prove", counted)
    async with open_client(repository, proof=mode, proof_timeout=1e-6) as client:
        answers = [await client.get("/models/turning/proof") for _ in range(3)]
        listed = (await client.get("/models/turning")).json()["verification"]
        told = (await client.get("/metrics")).text
        assert (await client.get("/readyz")).status_code == 200
    assert {answer.status_code for answer in answers} == {503}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json().keys() == {"error"}
    assert "takes more than the 1e-06 s" in answers[0].json()["error"]
    assert len(tried) == (0 if mode == "report" else 1)
    assert all(limits.seconds == 1e-6 for limits in tried)
    shown = answers[0].json()["error"] if mode == "report" else None
    assert listed["unproved"] == shown
    assert listed["differences"] == ([shown] if shown else [])
    assert ('proof="not finished"' in told) == (mode == "report")


@pytest.mark.slow
async def test_versions_past_the_limits_are_not_served_where_proofs_are_enforced(
    open_client: Any, repository: Path
) -> None:
    async with open_client(repository, proof="enforce", proof_memory=1) as client:
        assert (await ask(client, "/models/turning/proof")).outcome == "PROVED"
    async with open_client(repository, proof="enforce", proof_timeout=1e-6) as client:
        assert (await client.get("/healthz")).status_code == 200
        for path in ("/readyz", "/models/turning/versions/10/proof"):
            refused = await client.get(path)
            assert refused.status_code == 503
            assert "takes more than the 1e-06 s" in refused.json()["error"]


@pytest.mark.parametrize("name", ["proof_timeout", "proof_memory", "load_timeout", "load_memory"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "much"])
async def test_limits_that_are_none_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"ORBITSERVE_{name.upper()} is '{value}'"):
        read_settings(**{name: value})


async def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    default = read_settings().proof_limits
    assert (default.seconds, default.memory) == (60, 2048 * 2**20)
    monkeypatch.setenv("ORBITSERVE_PROOF_TIMEOUT", "1.5")
    monkeypatch.setenv("ORBITSERVE_PROOF_MEMORY", "3")
    limits = read_settings().proof_limits
    assert (limits.seconds, limits.memory) == (1.5, 3 * 2**20)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 60),
        ({"proof_timeout": 90}, 90),
        ({"load_timeout": 5, "proof_timeout": 90}, 5),
        ({"device": "tensorrt"}, 1800),
    ],
)
async def test_a_trial_has_time_for_its_proof_unless_it_is_told_otherwise(
    given: dict[str, object], seconds: float
) -> None:
    assert read_settings(**given).load_seconds == seconds
