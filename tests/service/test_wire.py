"""What is refused, and what is understood, before any route sees a request: over real sockets."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.processes import GREY, NPY, Server, serving

pytestmark = pytest.mark.slow

HOST = b"Host: a\r\n"
LAST = HOST + b"Connection: close\r\n"
CLASSIFY = b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-npy\r\n"
JAVA = Path(__file__).with_name("Client.java")


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, default_model="turning", log_requests=0) as server:
        yield server


def connect(server: Server) -> socket.socket:
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port or 0), timeout=60)


def exchange(server: Server, request: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send bytes, the last of which end the connection, and read every answer."""
    with connect(server) as client:
        client.sendall(request)
        received = b""
        while block := client.recv(2**16):
            received += block
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, value in (field.split(": ", 1) for field in lines)}
        length = int(fields["content-length"])
        answers.append((int(line.split()[1]), fields, rest[:length]))
        received = rest[length:]
    return answers


def refusal(server: Server, request: bytes) -> tuple[int, str]:
    """Return status and sentence of what must be one refusal, after which nothing is served."""
    follower = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    ((status, fields, body),) = exchange(server, request + follower)
    assert fields["content-type"] == "application/json"
    assert fields["connection"] == "close"
    assert "x-request-id" in fields
    document = json.loads(body)
    assert document.keys() == {"error"}
    return status, document["error"]


def get(target: bytes, fields: bytes = HOST, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + fields + b"\r\n"


TWO_READINGS = [
    (b"", "no field Host; exactly one is accepted"),
    (HOST * 2, "2 fields Host"),
    (HOST + b"host: b\r\n", "2 fields Host"),
    (b"Host: a b\r\n", "no name of a host"),
    (b"Host: a/b\r\n", "no name of a host"),
    (b"Host: u@a\r\n", "no name of a host"),
    (HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n", "Duplicate Content-Length"),
    (HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n", "Duplicate Content-Length"),
    (HOST + b"Content-Length: 3, 3\r\n", "Content-Length"),
    (HOST + b"Content-Length: +3\r\n", "Content-Length"),
    (HOST + b"Content-Length: -1\r\n", "Content-Length"),
    (HOST + b"Content-Length: 99999999999999999999\r\n", "Content-Length"),
    (HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding"),
    (HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Transfer-Encoding"),
    (HOST + b"Transfer-Encoding: x, chunked\r\n", "'chunked' alone"),
    (HOST + b"Transfer-Encoding: gzip, chunked\r\n", "'chunked' alone"),
    (HOST + b"Transfer-Encoding: chunked, x\r\n", "Transfer-Encoding"),
    (HOST + b"Transfer-Encoding: chunked;q=1\r\n", "'chunked' alone"),
    (HOST + b"Transfer-Encoding: x\r\n", "'chunked' alone"),
    (HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding"),
    (HOST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding"),
    (HOST + b"TE: x, chunked\r\n", "TE names 'chunked'"),
    (HOST + b"A : b\r\n", "header token"),
    (HOST + b"A: b\r\n c\r\n", "whitespace"),
    (HOST + b"A: b\0c\r\n", "header value"),
    (HOST + b"A: b\rC: d\r\n", "header value"),
]


@pytest.mark.parametrize(("fields", "named"), TWO_READINGS)
def test_a_head_that_can_be_read_in_two_ways_is_400(
    server: Server, fields: bytes, named: str
) -> None:
    status, sentence = refusal(server, get(b"/healthz", fields))
    assert status == 400
    assert named in sentence


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0", b"HTTX/1.1"])
def test_other_versions_are_400(server: Server, version: bytes) -> None:
    assert refusal(server, get(b"/healthz", version=version))[0] == 400


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01 this is TLS\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        get(b"?a"),
        get(b"healthz"),
        get(b"*"),
        get(b"ftp://a/healthz"),
        get(b"http:///healthz"),
    ],
)
def test_what_is_for_another_server_or_none_is_400(server: Server, request_bytes: bytes) -> None:
    assert refusal(server, request_bytes)[0] == 400


CONTROL = [b"%00", b"%0A", b"%0d%0a", b"%1f", b"%7F", b"%C2%85", b"%E2%80%A8", b"\x01", b"\x7f"]


@pytest.mark.parametrize("character", CONTROL)
@pytest.mark.parametrize("path", [b"/healthz%s", b"/models/%s/classify", b"/%s"])
def test_a_control_character_in_a_path_is_400(
    server: Server, path: bytes, character: bytes
) -> None:
    for target in (path % character, b"http://a" + path % character):
        status, sentence = refusal(server, get(target, LAST))
        assert status == 400
        assert "accepted" in sentence


@pytest.mark.parametrize(
    "target", [b"http://other/healthz", b"HTTPS://a:8/healthz?", b"/health%7A", b"/healthz#b"]
)
def test_a_whole_url_names_its_path(server: Server, target: bytes) -> None:
    (answer,) = exchange(server, get(target, LAST))
    assert answer[0] == 200


@pytest.mark.parametrize("target", [b"http://a", b"http://a?x"])
def test_a_url_without_a_path_is_the_root(server: Server, target: bytes) -> None:
    (answer,) = exchange(server, get(target, LAST))
    assert answer[0] == 200
    assert answer[2].startswith(b"<!doctype html>")


@pytest.mark.parametrize("fields", [b"", HOST])
def test_http_1_0_needs_no_host(server: Server, fields: bytes) -> None:
    (answer,) = exchange(server, get(b"/healthz", fields, b"HTTP/1.0"))
    assert answer[0] == 200


def test_trailers_are_no_header_fields(server: Server) -> None:
    """Those that a proxy did not look at must not become the request's."""
    head = b"POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"0\r\nX-Request-ID: trailer\r\n\r\n"
    with connect(server) as client:
        client.sendall(head + b"1\r\nx\r\n" + trailers)
        received = client.recv(2**16)
    assert received.startswith(b"HTTP/1.1 404")
    assert b"trailer" not in received


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
PROTOCOLS = [b"h2c", b"websocket", b"TLS/1.2", b"x, h2c", b"h2c\r\nUpgrade: websocket"]


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cut", [0, 3, 150, 10_000])
def test_a_request_that_asks_for_another_protocol_keeps_its_body(
    server: Server, asked: bytes, chunked: bool, cut: int
) -> None:
    fields = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: " + asked
    body = GREY
    framing = b"Content-Length: %d" % len(body)
    if chunked:
        framing = b"Transfer-Encoding: chunked"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GREY), GREY)
    upgrading = CLASSIFY + fields + b"\r\n" + framing + b"\r\n\r\n" + body
    last = get(b"/healthz", LAST)
    whole = upgrading * 2 + last
    with connect(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(whole[:cut])
        client.sendall(whole[cut:])
        received = b""
        while block := client.recv(2**16):
            received += block
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * 3
    assert received.count(b'"predictions"') == 2
    assert b"upgrade" not in received.lower()


def test_the_body_of_such_a_request_is_never_a_request(server: Server) -> None:
    fields = b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
    answers = exchange(server, CLASSIFY + fields + SMUGGLED + get(b"/healthz", LAST))
    assert [status for status, _, _ in answers] == [400, 200]
    assert b"/smuggled" not in answers[0][2]


def test_a_refusal_waits_for_the_answers_before_it(server: Server) -> None:
    requests = get(b"/healthz") * 3 + get(b"/healthz", b"")
    assert [status for status, _, _ in exchange(server, requests)] == [200, 200, 200, 400]


def test_a_body_that_cannot_be_read_is_400(server: Server) -> None:
    head = CLASSIFY + b"Transfer-Encoding: chunked\r\n\r\n"
    status, sentence = refusal(server, head + b"3\r\nabc\r\nzz\r\n")
    assert status == 400
    assert "chunk size" in sentence


def test_many_requests_in_a_row_are_all_answered(server: Server) -> None:
    """Far more than are begun at once: what is held back is gone on with."""
    count = 3000
    requests = get(b"/healthz") * (count - 1) + get(b"/healthz", LAST)
    answers = exchange(server, requests)
    assert [status for status, _, _ in answers] == [200] * count


def test_bodies_between_them_are_whole(server: Server) -> None:
    large = b"x" * 100_000
    request = CLASSIFY + b"Content-Length: %d\r\n\r\n" % len(large) + large
    requests = (request + get(b"/healthz")) * 5 + request + get(b"/healthz", LAST)
    answers = exchange(server, requests)
    assert [status for status, _, _ in answers] == [400, 200] * 6


@pytest.mark.parametrize("size", [2**16 + 1, 2**20])
def test_sizes_of_a_head(server: Server, size: int) -> None:
    status, sentence = refusal(server, get(b"/healthz", HOST + b"A: " + b"a" * size + b"\r\n"))
    assert (status, "65536 bytes" in sentence) == (431, True)
    status, sentence = refusal(server, get(b"/" + b"a" * size))
    assert (status, "65536 bytes" in sentence) == (414, True)


def test_the_largest_head_and_the_most_fields_are_accepted(server: Server) -> None:
    for fields in (b"A: " + b"a" * 60_000 + b"\r\n", b"A: b\r\n" * 98):
        (answer,) = exchange(server, get(b"/healthz?", LAST + fields))
        assert answer[0] == 200
    status, sentence = refusal(server, get(b"/healthz", HOST + b"A: b\r\n" * 100))
    assert (status, "100 fields" in sentence) == (431, True)


@pytest.mark.parametrize(
    "trailers", [b"A: b\r\n" * 101, b"A: " + b"a" * 2**17 + b"\r\n", b"A: " + b"a" * 2**17]
)
def test_sizes_of_trailers(server: Server, trailers: bytes) -> None:
    head = CLASSIFY + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    status, sentence = refusal(server, head + trailers + b"\r\n")
    assert (status, "trailers" in sentence) == (431, True)


def test_a_refusal_is_seen_in_log_and_metrics(repository: Path) -> None:
    with serving(repository, default_model="turning") as server:
        (answer,) = exchange(server, get(b"/a%0Ab", LAST))
        exchange(server, b"\x16\x03\x01")
        metrics = httpx.get(f"{server.url}/metrics").text
        server.process.terminate()
        server.end()
    assert answer[0] == 400
    counted = re.findall(r'orbitserve_rejections_total\{.*reason="invalid".*\} (\S+)', metrics)
    assert sum(float(count) for count in counted) == 2
    events = [json.loads(line) for line in server.log]
    refused = [event for event in events if event.get("refusal") == "invalid"]
    assert [(event["status"], event["path"]) for event in refused] == [(400, "/a%0Ab"), (400, "")]


def test_a_proxy_that_strips_a_prefix(repository: Path, tmp_path: Path) -> None:
    options = {"root_path": "/inspection/a", "ledger": tmp_path / "ledger"}
    with (
        serving(repository, default_model="turning", **options) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        assert client.get("/healthz").status_code == 200
        assert client.post("/classify", content=GREY, headers=NPY).status_code == 200
        assert client.get("/inspection/a/healthz").status_code == 404
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/inspection/a"}]
        assert "/inspection/a/openapi.json" in client.get("/docs").text
        begun = client.post("/models/turning/audit", headers={"Prefer": "respond-async"})
        assert begun.headers["Location"].startswith("/inspection/a/audits/jobs/")
        audit = client.post("/models/turning/audit")
        location = audit.headers["Content-Location"]
        assert location.startswith("/inspection/a/audits/")
        assert client.get(location.removeprefix("/inspection/a")).status_code == 200
        page = client.get("/audits?limit=1").json()
        assert page["next"] is None or page["next"].startswith("/inspection/a/audits?")


def test_all_interfaces_of_both_families(repository: Path) -> None:
    with serving(repository, host="::", default_model="turning") as server:
        port = httpx.URL(server.url).port
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert httpx.get(f"http://[::1]:{port}/healthz").status_code == 200
        server.process.terminate()
        assert server.process.wait(60) == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_that_offers_http_2(server: Server, tmp_path: Path) -> None:
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    if "HTTP2" not in version.stdout:
        pytest.skip("this curl knows no HTTP/2")
    file = tmp_path / "image.npy"
    file.write_bytes(GREY)
    command = ["curl", "--silent", "--http2", "--noproxy", "*", "--data-binary", f"@{file}"]
    command += ["--header", "Content-Type: application/x-npy", f"{server.url}/classify"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["model"]["name"] == "turning"


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_the_client_of_java(server: Server, tmp_path: Path) -> None:
    """It asks for h2c with every request, posts several on one connection, and reads answers."""
    file = tmp_path / "image.npy"
    file.write_bytes(GREY)
    command = ["java", str(JAVA), f"{server.url}/classify", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        status, _, body = line.partition(" ")
        assert status == "200"
        assert json.loads(body)["model"]["name"] == "turning"
