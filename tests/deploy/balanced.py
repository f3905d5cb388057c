"""Several instances of the service behind nginx, and clients that never stop asking."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.service.processes import Server, serving
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "deploy" / "nginx" / "orbitserve.conf"
READ_SECONDS = 3
"""How long the balancer waits for an answer here: less than the ten seconds of the file."""

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
    server: Server | None = None
    _running: AbstractContextManager[Server] | None = None

    def start(self) -> None:
        options = {"proof": "off", "threads": 1, "port": self.port}
        self._running = serving(self.repository, shutdown_delay_seconds=0.5, **options)
        self.server = self._running.__enter__()

    def signal(self, number: signal.Signals) -> None:
        assert self.server
        os.kill(self.server.process.pid, number)

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


@contextmanager
def balancer(folder: Path, behind: list[Instance]) -> Iterator[str]:
    """Run nginx as deploy/nginx/orbitserve.conf has it, in front of these instances."""
    port, text = free_port(), CONFIGURATION.read_text()
    for number, each in enumerate(behind, 1):
        assert f"orbitserve-{number}:8000" in text
        text = text.replace(f"orbitserve-{number}:8000", f"127.0.0.1:{each.port}")
    text = _replaced(text, "listen 8080;", f"listen 127.0.0.1:{port};")
    text = _replaced(text, "proxy_read_timeout 10s;", f"proxy_read_timeout {READ_SECONDS}s;")
    (folder / "orbitserve.conf").write_text(text)
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder))
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    process = subprocess.Popen(
        [str(nginx), "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: ready(url) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait()


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def tries(folder: Path) -> dict[str, list[str]]:
    """By the id of each request: the statuses of those that were asked, in their order."""
    lines = (folder / "access.log").read_text().splitlines()
    found = (line.split(maxsplit=1) for line in lines)
    return {name: re.split(", ", statuses) for name, statuses in found if name != "-"}


@dataclass
class Load:
    """Clients that send images one after another until they are told to stop."""

    url: str
    images: list[bytes]
    answers: dict[str, tuple[int, int | str, bytes]] = field(default_factory=dict)
    """By request id: the image's number, the status or what failed, and the body."""
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
        headers = {"Content-Type": "image/png"}
        asked = 0
        with httpx.Client(verify=False, timeout=60) as http:
            while not self._over.is_set():
                number, name = (client + asked) % len(self.images), f"{client}-{asked}"
                headers["X-Request-ID"] = name
                try:
                    answer = http.post(
                        f"{self.url}/classify", content=self.images[number], headers=headers
                    )
                    self.answers[name] = number, answer.status_code, answer.content
                except httpx.HTTPError as error:
                    self.answers[name] = number, repr(error), b""
                asked += 1
