"""Clients over a real socket that trickle, babble, hang up or are cut off in the middle."""

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.observability.scrape import Scrape
from tests.service.processes import GREY, NPY, Server, assert_serves, npy, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SLOW = {"receive_seconds": 0.3}


@pytest.fixture(scope="module")
def impatient(repository: Path) -> Iterator[Server]:
    with serving(repository, default_model="turning", **SLOW) as server:
        yield server


def connect(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def post(body: bytes, path: str = "/classify") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/x-npy\r\n\r\n" + body


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while block := connection.recv(2**16):
        received += block
    return received


def test_a_body_that_trickles_is_408_and_the_connection_is_closed(impatient: Server) -> None:
    with connect(impatient) as client:
        request = post(GREY)
        client.sendall(request[:-20])
        for byte in request[-20:-10]:
            if not select([client], [], [], 0.01)[0]:
                client.sendall(bytes([byte]))
        answer = read_all(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in head.lower()
    assert "within 0.3 s is accepted" in json.loads(body)["error"]
    assert_serves(impatient.url)


@pytest.mark.parametrize("head", [b"", b"POST /classify HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_does_not_come_is_cut_off(impatient: Server, head: bytes) -> None:
    with connect(impatient) as client:
        client.sendall(head)
        assert read_all(client) == b""
    assert_serves(impatient.url)


def test_a_connection_that_rests_between_requests_is_not_cut_off(impatient: Server) -> None:
    with httpx.Client() as client:
        for _ in range(2):
            answer = client.post(f"{impatient.url}/classify", content=GREY, headers=NPY)
            assert answer.status_code == 200
            stream = answer.extensions["network_stream"]
            time.sleep(0.5)
        assert stream.get_extra_info("socket").fileno() >= 0


def test_what_is_no_http_is_400_in_json(impatient: Server) -> None:
    with connect(impatient) as client:
        client.sendall(b"\x16\x03\x01 this is TLS, or something else\r\n\r\n")
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body).keys() == {"error"}


def test_clients_that_hang_up_hurt_nobody(
    repository: Path, images: Any, expected: Callable[[Any], list[tuple[str, float]]]
) -> None:
    """Half of the clients hang up at some moment; all answers to the others are right."""
    truth = [label for label, _ in expected(images)]
    wrong: list[Any] = []
    answered = 0

    def rude(server: Server, seed: int) -> None:
        chance = random.Random(seed)
        request = post(npy(images[:64]))
        for _ in range(30):
            with connect(server) as client:
                client.sendall(request[: chance.randint(1, len(request))])
                if chance.random() < 0.5:
                    client.sendall(request)
                time.sleep(chance.random() / 500)

    def polite(server: Server, seed: int) -> None:
        nonlocal answered
        chance = random.Random(seed)
        with httpx.Client() as client:
            for _ in range(40):
                start, count = chance.randrange(400), chance.randint(1, 9)
                body = npy(images[start : start + count])
                answer = client.post(f"{server.url}/classify", content=body, headers=NPY)
                labels = [p["label"] for p in answer.json().get("predictions", [])]
                if labels != truth[start : start + count]:
                    wrong.append((answer.status_code, answer.text))
                answered += 1

    room = 3 * 30 * 2 * 64 + 3 * 9  # for all that anybody sends: nobody is told to come again
    with serving(repository, default_model="turning", max_queue_size=room) as server:
        run_all(
            [
                threading.Thread(target=work, args=(server, k))
                for k in range(3)
                for work in (rude, polite)
            ]
        )
        assert not wrong
        assert answered == 120
        assert_serves(server.url)
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == 0
    assert not any("Traceback" in line or '"exception"' in line for line in server.log)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_no_accepted_answer(
    repository: Path, images: Any, workers: int
) -> None:
    """Each request that the service has logged as answered has reached its client whole."""
    body = npy(images[:8])
    received, refused = 0, 0
    lock = threading.Lock()

    def client(server: Server) -> None:
        nonlocal received, refused
        with httpx.Client(timeout=60) as http:
            while True:
                try:
                    answer = http.post(f"{server.url}/classify", content=body, headers=NPY)
                except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                    return  # it was closed between two requests, or takes no more
                with lock:
                    if answer.status_code == 200 and len(answer.json()["predictions"]) == 8:
                        received += 1
                    else:
                        refused += 1

    options = {"default_model": "turning", "shutdown_delay_seconds": 0.3, "workers": workers}
    with serving(repository, **options) as server:
        threads = [threading.Thread(target=client, args=(server,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        wait_until(lambda: received > 20)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert server.end() == 0
    assert refused == 0
    events = [json.loads(line) for line in server.log]
    done = [e["status"] for e in events if e["event"] == "request" and e["path"] == "/classify"]
    assert done.count(200) == received == len(done)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_turns_readiness_off_first_and_a_second_one_ends_it_at_once(
    repository: Path, workers: int
) -> None:
    options = {"default_model": "turning", "shutdown_delay_seconds": 1000, "workers": workers}
    with serving(repository, **options) as server:
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        ready = httpx.get(f"{server.url}/readyz")
        assert ready.json() == {"error": "The service is ending."}
        told = [httpx.get(f"{server.url}/readyz").status_code for _ in range(20)]
        assert set(told) == {503}
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert_serves(server.url)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 128 + signal.SIGTERM


def test_what_is_not_done_within_the_grace_is_told_so(repository: Path) -> None:
    many = npy(np.random.default_rng(1).integers(0, 256, (4096, 1, 8, 8), dtype=np.uint8))
    options = {"default_model": "turning", "shutdown_seconds": 0}
    with serving(repository, **options) as server, connect(server) as client:
        client.sendall(post(many, "/models/turning/audit"))
        wait_until(lambda: audited(server.url) > 0)
        server.process.send_signal(signal.SIGTERM)
        answer = read_all(client)
        assert server.process.wait(60) == 0
    assert answer.startswith((b"HTTP/1.1 503", b"HTTP/1.1 200"))
    json.loads(answer.partition(b"\r\n\r\n")[2])


def audited(url: str) -> float:
    return Scrape(httpx.get(f"{url}/metrics").text)("orbitserve_audit_images_total")


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
