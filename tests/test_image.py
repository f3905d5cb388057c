"""The container image: what is in it, that it serves and audits, and how it starts and stops."""

import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest
from PIL import Image

from tests import program

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "deploy" / "container"
BASE = "python:3.11-slim"
# As docker-compose.yml runs it.
CONFINEMENT = ["--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges"]
ENVIRONMENT = {
    **os.environ,
    "CONTAINERS_CONF": str(SCRIPTS / "containers.conf"),
    "DISABLE_HC_SYSTEMD": "true",  # the tests run the health check themselves
}
in_podman = [pytest.mark.podman, pytest.mark.slow, pytest.mark.timeout(1200)]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**ENVIRONMENT, **environment}
    return subprocess.run(
        command, env=settings, capture_output=True, text=True, timeout=1000, check=False
    )


def podman(*arguments: str) -> str:
    done = run("podman", *arguments)
    assert done.returncode == 0, f"podman {arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def build(context: Path, name: str) -> str:
    done = run(context / "deploy/container/build-image.sh", NAME=name, BASE=BASE)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return f"{name}:cpu"


@dataclass(frozen=True)
class Container:
    name: str
    port: int

    def runs(self) -> bool:
        return podman("inspect", "--format={{.State.Running}}", self.name) == "true"

    def python(self, program: str) -> str:
        return podman("exec", self.name, "python", "-c", program)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=240, trust_env=False)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(container: Container) -> None:
    deadline = time.monotonic() + 90
    with container.client() as client:
        while time.monotonic() < deadline and container.runs():
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
    log = run("podman", "logs", container.name)
    pytest.fail(f"ended early, or not ready within 90 s:\n{log.stdout}{log.stderr}")


@contextmanager
def running(image: str, *options: str) -> Iterator[Container]:
    port = free_port()
    container = Container(f"orbitserve-test-{port}", port)
    ports = [f"--env=ORBITSERVE_PORT={port}", f"--env=ORBITSERVE_GRPC_PORT={free_port()}"]
    address = ["--network=host", *ports]
    podman("run", "--detach", "--name", container.name, *address, *CONFINEMENT, *options, image)
    try:
        wait_until_ready(container)
        yield container
    finally:
        podman("rm", "--force", "--time=1", container.name)


@pytest.fixture(scope="module")
def image() -> str:
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    if run("podman", "image", "exists", BASE).returncode != 0:
        pytest.skip(f"no {BASE}: pull it, or make a stand-in with deploy/container/base-image.sh")
    return build(ROOT, "orbitserve")


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[Container]:
    with running(image) as started:
        yield started


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    (path,) = ROOT.glob("model_repository/rotmnist-c4/1/audit.npz")
    with np.load(path) as audit_set:
        return audit_set["images"][:20], audit_set["labels"][:20]


class TestServing:
    pytestmark = in_podman

    def test_digits_are_classified(self, container, digits):
        right = 0
        with container.client() as client:
            for pixels, label in zip(*digits, strict=True):
                png = io.BytesIO()
                Image.fromarray(pixels[0]).save(png, "PNG")
                answer = client.post(
                    "/classify", content=png.getvalue(), headers={"content-type": "image/png"}
                )
                assert answer.status_code == 200, answer.text
                assert answer.json()["model"]["name"] == "rotmnist-c4"
                (prediction,) = answer.json()["predictions"]
                right += prediction["label"] == str(label)
        assert right >= 18

    @pytest.mark.parametrize(
        ("model", "verdict"), [("rotmnist-c4", "PASS"), ("rotmnist-cnn", "FAIL")]
    )
    def test_the_audit_tells_an_invariant_model_from_a_plain_one(self, container, model, verdict):
        with container.client() as client:
            answer = client.post(f"/models/{model}/audit")
        assert answer.status_code == 200, answer.text
        assert answer.json()["verdict"] == verdict


class TestContents:
    pytestmark = in_podman

    def test_the_service_is_not_root(self, container):
        status = container.python("print(open('/proc/1/status').read())")
        assert "\nUid:\t10001\t10001\t10001\t10001\n" in status

    def test_there_is_what_serving_needs_and_no_torch(self, container):
        find = "import importlib.util as u; print([n for n in {} if u.find_spec(n)])"
        needed = [
            "artifact",
            "audit",
            "bulk",
            "commands",
            "imaging",
            "onnxruntime",
            "orbitserve",
            "service",
        ]
        other = ["export", "models", "pip", "setuptools", "torch"]
        assert container.python(find.format(needed + other)) == str(needed)

    def test_its_volumes_are_the_users_and_nothing_else_is(self, container):
        program = (
            "import os; found = ['/srv', *(f'/srv/{name}' for name in os.listdir('/srv'))];"
            "print(sorted(path for path in found if os.stat(path).st_uid == 10001))"
        )
        assert container.python(program) == str(["/srv/cache", "/srv/ledger"])

    def test_the_building_machine_leaves_no_trace(self, container):
        assert container.python("import os; print(os.listdir('/opt'))") == "['venv']"
        assert container.python("import os; print(os.path.exists('/etc/pip.conf'))") == "False"

    def test_its_labels_say_what_it_is(self, image):
        labels = json.loads(podman("image", "inspect", "--format={{json .Labels}}", image))
        said = {
            name.removeprefix("org.opencontainers.image."): text for name, text in labels.items()
        }
        (version,) = re.findall(
            r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
        )
        assert (said["title"], said["version"], said["licenses"]) == (
            "orbitserve",
            version,
            "Apache-2.0",
        )
        assert said["base.name"] == BASE
        head = run("git", "-C", ROOT, "rev-parse", "HEAD").stdout.strip()
        assert said["revision"] == (head or "unknown")

    def test_what_is_installed_is_what_is_locked(self, container):
        program = (
            "import importlib.metadata as m;"
            "print([f'{each.name}=={each.version}' for each in m.distributions()])"
        )
        found = {each.lower().replace("_", "-") for each in literal_eval(container.python(program))}
        locked = set(re.findall(r"^[\w.-]+==\S+", (ROOT / "locks/runtime.txt").read_text(), re.M))
        assert {each for each in found - locked if not each.startswith("orbitserve==")} == set()


class TestLife:
    pytestmark = in_podman

    def test_the_health_check_tells_ready_from_dead(self, image, container):
        podman("healthcheck", "run", container.name)
        state = podman("inspect", "--format={{.State.Health.Status}}", container.name)
        assert state == "healthy"
        declared = json.loads(podman("image", "inspect", "--format={{json .HealthCheck}}", image))
        kind, *check = declared["Test"]
        assert kind == "CMD"
        elsewhere = f"--env=ORBITSERVE_PORT={free_port()}"
        assert run("podman", "exec", container.name, *check).returncode == 0
        assert run("podman", "exec", elsewhere, container.name, *check).returncode == 1

    def test_sigterm_ends_it_in_order(self, image):
        with running(image) as container:
            podman("kill", "--signal=TERM", container.name)
            assert podman("wait", container.name) == "0"

    def test_without_a_gpu_cuda_is_refused_not_replaced(self, image):
        ports = [f"--env=ORBITSERVE_{name}PORT={free_port()}" for name in ("", "GRPC_")]
        settings = [*ports, "--env=ORBITSERVE_DEVICE=cuda"]
        done = run("podman", "run", "--rm", "--network=host", *settings, *CONFINEMENT, image)
        assert done.returncode != 0
        assert "cuda" in (done.stdout + done.stderr).lower()


class TestVolumes:
    pytestmark = in_podman

    def test_a_ledger_and_what_was_measured_outlive_the_container(self, image):
        names = [f"orbitserve-test-{kind}-{free_port()}" for kind in ("ledger", "cache")]
        options = [
            *(
                f"--volume={n}:/srv/{kind}"
                for n, kind in zip(names, ("ledger", "cache"), strict=True)
            ),
            "--env=ORBITSERVE_LEDGER=/srv/ledger",
            "--env=ORBITSERVE_CACHE=/srv/cache",
        ]
        try:
            with running(image, *options) as container, container.client() as client:
                assert client.post("/models/rotmnist-cnn/audit").json()["verdict"] == "FAIL"
            with running(image, *options) as container, container.client() as client:
                (entry,) = client.get("/audits").json()["audits"]
                assert entry["verdict"] == "FAIL"
                kept = container.python("import os; print(len(os.listdir('/srv/cache')))")
                assert int(kept) >= len(client.get("/models").json()["models"])
        finally:
            podman("volume", "rm", "--force", *names)


class TestPacked:
    """A version as an image of its own, as Kubernetes' image volumes and KServe take it."""

    pytestmark = in_podman
    NAME = "rotmnist-c4-int8"

    @pytest.fixture
    def layout(self, tmp_path):
        return tmp_path / "packed"

    @staticmethod
    @contextmanager
    def pulled(layout: Path) -> Iterator[str]:
        name = podman("pull", "--quiet", f"oci:{layout}")
        try:
            yield name
        finally:
            podman("rmi", "--force", name)

    def pack(self, *options: str | Path) -> None:
        done = program.run(["pack", self.NAME, *map(str, options)])
        assert done.returncode == 0, done.stderr

    def test_the_service_serves_from_it_as_a_volume(self, image, layout, digits):
        self.pack("--output", layout)
        with self.pulled(layout) as packed:
            volume = f"--mount=type=image,source={packed},destination=/packed"
            settings = "--env=ORBITSERVE_REPOSITORY=/packed/models"
            with running(image, volume, settings) as container, container.client() as client:
                (served,) = client.get("/models").json()["models"]
                assert served["name"] == self.NAME
                body, npy = io.BytesIO(), {"content-type": "application/x-npy"}
                np.save(body, digits[0][0, 0])
                answer = client.post("/classify", content=body.getvalue(), headers=npy)
            card = json.loads((ROOT / "model_repository" / self.NAME / "1/card.json").read_bytes())
            assert answer.json()["model"]["digest"] == f"sha256:{card['sha256']}"
            assert answer.json()["predictions"][0]["label"] == str(digits[1][0])

    def test_over_a_base_with_a_shell_it_runs_as_kserve_runs_it(self, image, layout, tmp_path):
        podman("push", "--format=oci", BASE, f"oci:{tmp_path / 'base'}")
        self.pack("--output", layout, "--base", tmp_path / "base")
        link = "ln -s /proc/$$/root/models /tmp/models && sha256sum /tmp/models/*/1/*"
        with self.pulled(layout) as packed:
            listed = podman("run", "--rm", "--network=host", packed, "sh", "-c", link)
        due = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (ROOT / "model_repository" / self.NAME / "1").iterdir()
        }
        found = [line.split() for line in listed.splitlines()]
        assert {Path(path).name: digest for digest, path in found} == due


BUILDER = ["build-image.sh", "containers.conf"]


def copy_into(folder: Path, name: str) -> None:
    source, target = ROOT / name, folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def installed(image: str) -> tuple[str, str]:
    """When numpy was installed into the image, and whether its service carries the edit."""
    program = (
        "import os, numpy, service;"
        "print(os.stat(numpy.__file__).st_mtime_ns, hasattr(service, 'EDITED'))"
    )
    time_ns, edited = podman(
        "run", "--rm", "--network=host", image, "python", "-c", program
    ).split()
    return time_ns, edited


class TestBuild:
    pytestmark = in_podman

    def test_a_change_of_code_installs_no_dependency_again(self, image, tmp_path):
        for line in (ROOT / ".dockerignore").read_text().splitlines():
            if line.startswith("!"):
                copy_into(tmp_path, line[1:])
        for name in ["Dockerfile", ".dockerignore", *(f"deploy/container/{n}" for n in BUILDER)]:
            copy_into(tmp_path, name)
        with (tmp_path / "service" / "__init__.py").open("a") as module:
            module.write("\nEDITED = True\n")
        edited = build(tmp_path, "orbitserve-edited")
        try:
            assert installed(edited) == (installed(image)[0], "True")
            assert installed(image)[1] == "False"
        finally:
            podman("rmi", edited)


class TestHealthCheck:
    @staticmethod
    def check(port: int, **environment: str) -> int:
        address = {"ORBITSERVE_HOST": "0.0.0.0", "ORBITSERVE_PORT": str(port)}
        return run(sys.executable, SCRIPTS / "healthcheck.py", **address, **environment).returncode

    @pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
    def test_it_asks_whether_the_service_is_ready(self, status, code):
        class Readiness(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status if self.path == "/readyz" else 500)
                self.end_headers()

            def log_message(self, *_):
                pass

        with HTTPServer(("127.0.0.1", 0), Readiness) as server:
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
            nobody = f"http://127.0.0.1:{free_port()}"
            try:
                assert self.check(server.server_port, http_proxy=nobody) == code
            finally:
                server.shutdown()

    def test_nobody_there_is_not_ready(self):
        assert self.check(free_port()) == 1
