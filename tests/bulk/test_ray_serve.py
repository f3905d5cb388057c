"""The application behind Ray Serve's proxy gives the answers that it gives without."""

import asyncio
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray-serve is not installed"),
]

SEVEN = Path("examples/seven.png").read_bytes()
PNG = {"content-type": "image/png"}
CALLS = [
    ("POST", "/models/rotmnist-c4/classify", SEVEN, PNG),
    ("POST", "/models/rotmnist-c4/classify", SEVEN[:60], PNG),
    ("GET", "/v2", None, {}),
    ("GET", "/v2/models/rotmnist-c4", None, {}),
    ("GET", "/nothing", None, {}),
]


@pytest.fixture(scope="module")
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "deploy.ray_serve"],
        env={
            **os.environ,
            "ORBITSERVE_PORT": str(port),
            "ORBITSERVE_REPOSITORY": "model_repository",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in server.stdout:
        said.append(line)
        if line.startswith("Ray Serve listens on "):
            break
    else:
        pytest.fail("".join(said[-20:]))
    yield line.split()[-1]
    server.terminate()
    server.communicate()


def test_answers_are_those_of_the_service(address):
    asyncio.run(compared(address))


async def compared(address):
    app = create_app(Settings(repository=Path("model_repository"), device="cpu"))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://here") as here,
        httpx.AsyncClient(base_url=address, timeout=60) as there,
    ):
        async with asyncio.timeout(60):
            for client in (here, there):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # there is no event of another process
        for method, path, content, headers in CALLS:
            one = await here.request(method, path, content=content, headers=headers)
            other = await there.request(method, path, content=content, headers=headers)
            assert (other.status_code, other.content) == (one.status_code, one.content), path
