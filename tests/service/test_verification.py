"""What a card claims is shown by its file and by what runs, or the version is not served."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit import Exactness, ProofFigures
from audit.proof import prove
from service.engine import Selection
from service.engine.providers import CPU
from service.verification import Mode
from service.version import ModelRejectedError, ServedModel, load_version

SELECTION = Selection((CPU,))


def exact(claimed: bool) -> Exactness:
    return Exactness(
        images=1,
        elements=("identity",),
        batch_sizes=(1,),
        sessions=("onnxruntime",),
        exact=claimed,
        max_logit_deviation=0.0,
    )


@pytest.fixture
def load(tmp_path: Path, write_version: Any) -> Callable[..., ServedModel]:
    def loaded(graph: bytes, mode: Mode, **claims: Any) -> ServedModel:
        folder = write_version(tmp_path, "turning", len(list(tmp_path.rglob("*.onnx"))) + 1, graph)
        card = folder / "card.json"
        version = int(folder.name)
        folder = write_version(tmp_path / "claiming", "turning", version, graph, **claims)
        assert card.exists()
        return load_version(folder, SELECTION, 2, mode)

    return loaded


def test_what_the_file_shows_is_served(load: Callable[..., ServedModel], turning: bytes) -> None:
    claim = ProofFigures.from_proof(prove(turning, "C4"))
    found = load(turning, "enforce", proof=claim).verification
    assert found.differences == ()
    assert found.proof is not None and found.proof.outcome == "PROVED"
    assert found.exactness is not None and found.exactness.elements[1:] == ("r90", "r180", "r270")
    assert found.exactness.sessions == ("CPUExecutionProvider",)


def test_a_claimed_proof_that_the_bytes_do_not_give_is_refused(
    load: Callable[..., ServedModel], turning: bytes, plain: bytes
) -> None:
    claim = ProofFigures.from_proof(prove(turning, "C4"))
    with pytest.raises(ModelRejectedError, match="says PROVED and its file is NOT PROVED"):
        load(plain, "enforce", proof=claim)
    found = load(plain, "report", proof=claim).verification
    assert found.differences == ("The card says PROVED and its file is NOT PROVED.",)
    assert load(plain, "off", proof=claim).verification.differences == ()


def test_bits_that_the_proof_does_not_give_are_refused(
    load: Callable[..., ServedModel], turning: bytes
) -> None:
    claim = ProofFigures.from_proof(prove(turning, "C4")).model_copy(update={"exact_bits": True})
    with pytest.raises(ModelRejectedError, match="proved the same in every bit"):
        load(turning, "enforce", proof=claim)


def test_exactness_that_is_not_measured_here_is_refused(
    load: Callable[..., ServedModel], plain: bytes
) -> None:
    """The float sums of a plain network differ from batch to batch or from turn to turn."""
    with pytest.raises(ModelRejectedError, match="change by up to"):
        load(plain, "enforce", exactness=exact(True), group="C4")
    assert load(plain, "enforce", exactness=exact(False), group="C4").verification.differences == ()


@pytest.mark.anyio
async def test_the_metadata_show_what_was_verified(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/models/turning")).json()["verification"]
    assert shown["mode"] == "report"
    assert shown["proof"]["outcome"] == "PROVED"
    assert shown["exactness"]["batch_sizes"] == [1, 3, 8, 64]
    assert shown["differences"] == []
