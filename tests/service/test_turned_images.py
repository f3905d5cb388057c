"""The whole way: a turned file gets a byte-identical answer from a network of integers.

From the bytes of an image through decoding, fitting, batching and the network to the body of the
answer, at any size and shape, alone and among other requests.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from artifact.audit_set import load_audit_set
from export.bake import bake
from export.graph import to_onnx
from export.quantize import measure_ranges, quantize, read_chain, to_int8
from imaging import grid_symmetries
from models.networks import Convolution, MaxPooling, Network, NetworkSpec

pytestmark = pytest.mark.anyio
SHIPPED = Path("model_repository")
C4, D4 = (grid_symmetries(group) for group in ("C4", "D4"))


@st.composite
def pictures(draw: st.DrawFn) -> npt.NDArray[np.uint8]:
    """An image [C, H, W] of 1 x 1 to 300 x 200 pixels, grey or colour: noise, or a soft blob."""
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 200))
    if draw(st.booleans()):
        height, width = width, height
    channels = draw(st.sampled_from([1, 3]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()):
        return random.integers(0, 256, (channels, height, width), dtype=np.uint8)
    rows, columns = np.mgrid[:height, :width]
    centre, spread = random.uniform(0, 1, 2) * (height, width), random.uniform(0.1, 0.6)
    distance = np.hypot(rows - centre[0], columns - centre[1]) / (spread * max(height, width))
    levels = random.integers(30, 256, (channels, 1, 1)) * np.exp(-(distance**2))
    return levels.astype(np.uint8)


def encode(picture: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(picture, 0, -1).squeeze(-1) if len(picture) == 1
                    else np.moveaxis(picture, 0, -1)).save(file, "PNG")  # fmt: skip
    return file.getvalue()


async def answers(
    client: httpx.AsyncClient, path: str, bodies: Sequence[bytes]
) -> list[httpx.Response]:
    headers = {"Content-Type": "image/png"}
    calls = (client.post(path, content=body, headers=headers) for body in bodies)
    return list(await asyncio.gather(*calls))


@pytest.fixture(scope="module")
async def shipped(open_client: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(SHIPPED, default_model="rotmnist-c4-int8", proof="off") as client:
        yield client


@pytest.fixture(scope="module")
async def mirrored(
    open_client: Any, write_version: Any, images: Any, tmp_path_factory: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A D4 network of integers, with random filters."""
    torch.manual_seed(0)
    layers = (
        Convolution(channels=4, kernel=3, padding=1),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=6, kernel=4),
    )
    spec = NetworkSpec(group="D4", size=8, classes=4, mean=0.4, deviation=0.3, layers=layers)
    chain = read_chain(to_onnx(bake(Network(spec)), spec, {}))
    network = quantize(chain, measure_ranges(chain, images[:64], "D4"))
    graph = to_int8(network, {}).SerializeToString()
    root = tmp_path_factory.mktemp("mirrored")
    write_version(root, "turning", 1, graph, group="D4", precision="int8")
    async with open_client(root, proof="off") as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/classify", "/models/rotmnist-c8-int8/classify"])
async def test_digits_and_their_rotations_get_equal_bytes(
    shipped: httpx.AsyncClient, path: str
) -> None:
    digits = load_audit_set(SHIPPED / "rotmnist-c4" / "1" / "audit.npz").images[:40]
    bodies = [encode(g(digit)) for digit in digits for g in C4]
    found = [answer.content for answer in await answers(shipped, path, bodies)]
    for i in range(0, len(found), 4):
        assert len(set(found[i : i + 4])) == 1
    assert len(set(found)) == len(digits)  # and no two digits get the same one


@pytest.mark.slow
async def test_a_float_network_would_not_pass_this_test(shipped: httpx.AsyncClient) -> None:
    """The mutant: sums of floats, in another order for every turn."""
    digits = load_audit_set(SHIPPED / "rotmnist-c4" / "1" / "audit.npz").images[:40]
    bodies = [encode(g(digit)) for digit in digits for g in C4]
    path = "/models/rotmnist-c4/classify"
    found = [answer.content for answer in await answers(shipped, path, bodies)]
    assert any(len(set(found[i : i + 4])) > 1 for i in range(0, len(found), 4))


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(picture=pictures(), neighbours=st.lists(pictures(), max_size=3))
async def test_any_image_and_its_rotations_get_equal_bytes(
    shipped: httpx.AsyncClient,
    picture: npt.NDArray[np.uint8],
    neighbours: list[npt.NDArray[np.uint8]],
) -> None:
    turned = [encode(np.ascontiguousarray(g(picture))) for g in C4]
    others = [encode(neighbour) for neighbour in neighbours]
    alone = await answers(shipped, "/classify", turned[:1])
    crowd = [body for each in turned for body in (each, *others)]
    among = await answers(shipped, "/classify", crowd)
    assert {answer.status_code for answer in (*alone, *among)} == {200}
    found = {answer.content for answer in (*alone, *among[:: 1 + len(others)])}
    assert len(found) == 1


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(picture=pictures())
async def test_mirror_images_get_equal_bytes_too(
    mirrored: httpx.AsyncClient, picture: npt.NDArray[np.uint8]
) -> None:
    bodies = [encode(np.ascontiguousarray(g(picture))) for g in D4]
    found = await answers(mirrored, "/classify", bodies)
    assert {answer.status_code for answer in found} == {200}
    assert len({answer.content for answer in found}) == 1
