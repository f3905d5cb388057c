"""The proof of what is loaded, over HTTP."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.proof import Proof, prove

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
