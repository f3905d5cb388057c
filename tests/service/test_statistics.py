"""What the engine tells of its batches is answered in the protocol's fields."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


@dataclass
class Batch:
    rows: int
    compute_seconds: float
    queue_seconds: list[float] = field(default_factory=list)
    priority: str = "requests"


async def test_batches_of_requests_are_counted_by_their_size(
    open_client: Any, repository: Any
) -> None:
    async with open_client(repository) as client:
        model = client.data_plane.repository.find("plain")
        before = await counted(client)
        for batch in (
            Batch(3, 0.5, [0.1, 0.2]),
            Batch(3, 0.25, [0.0]),
            Batch(1, 0.125, [0.3]),
            Batch(64, 9.0, priority="audit"),
        ):
            model.statistics.ran(batch)
        after = await counted(client)
    stats = after["inference_stats"]
    assert after["execution_count"] == before["execution_count"] + 3
    assert stats["queue"] == {"count": 4, "ns": 600_000_000}
    # As Triton has it: a batch's time counts for each request in it.
    assert stats["compute_infer"] == {"count": 4, "ns": 1_375_000_000}
    assert [(b["batch_size"], b["compute_infer"]) for b in after["batch_stats"]] == [
        (1, {"count": 1, "ns": 125_000_000}),
        (3, {"count": 2, "ns": 750_000_000}),
    ]


async def counted(client: httpx.AsyncClient) -> Any:
    (plain,) = (await client.get("/v2/models/plain/stats")).json()["model_stats"]
    return plain
