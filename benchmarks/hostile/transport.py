"""Rows that attack how HTTP is read and written, whatever the application does."""

import contextlib
import select
import socket
import time

from benchmarks.hostile.row import Answer, Row, connect, read_status, send

_MEGABYTE = 10**6
_STALL_SECONDS = 2.0
_HELD_SECONDS = 20


def _header_lines() -> list[bytes]:
    line = b"X-Field: " + b"a" * 989 + b"\r\n"
    return [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", *[line * 1000] * 30, b"\r\n"]


def _one_field() -> list[bytes]:
    megabyte = b"a" * _MEGABYTE
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Field: "
    return [head, *[megabyte] * 30, b"\r\n\r\n"]


def _many_fields() -> list[bytes]:
    return [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"a:\r\n" * 1_000_000, b"\r\n"]


def _long_target() -> list[bytes]:
    return [b"GET /", *[b"a" * _MEGABYTE] * 98, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"]


def _trailers() -> list[bytes]:
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    line = b"X-Field: " + b"a" * 989 + b"\r\n"
    return [head, b"1\r\nx\r\n0\r\n", *[line * 1000] * 30, b"\r\n"]


def _chunk_extension() -> list[bytes]:
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, b"1;", *[b"a" * _MEGABYTE] * 30, b"\r\nx\r\n0\r\n\r\n"]


def _pipeline() -> bytes:
    return b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200_000


def _larger_pipeline() -> bytes:
    return b"GET /models/rotmnist-c4-int8 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200_000


def _never_reads(port: int, requests: bytes) -> list[Answer]:
    """Send until nothing more is taken, look at no answer, and stay until the server hangs up."""
    began = time.monotonic()
    with connect(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        rest = memoryview(requests)
        with contextlib.suppress(OSError):
            while rest and select.select([], [connection], [], _STALL_SECONDS)[1]:
                rest = rest[connection.send(rest) :]
        hangs_up = select.poll()
        hangs_up.register(connection, 0)
        hangs_up.poll(1000 * _HELD_SECONDS)
        return [Answer(None, time.monotonic() - began)]


def _heads() -> list[bytes]:
    return [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Field: ", *[b"a"] * 600]


def _slow_heads(port: int, head: list[bytes]) -> list[Answer]:
    """Hold 500 connections open with heads that come a byte now and then."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(port)) for _ in range(500)]
        for byte in head:
            for connection in held:
                with contextlib.suppress(OSError):  # it has been cut off
                    connection.send(byte)
            time.sleep(0.2)
            if _is_closed(held[-1]):
                break
        return [Answer(read_status(held[-1]), time.monotonic() - began)]


def _is_closed(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


_TOO_LARGE = frozenset({431})

TRANSPORT = (
    Row("30 MB of header lines", _header_lines, send, _TOO_LARGE),
    Row("one header field of 30 MB", _one_field, send, _TOO_LARGE),
    Row("a million header fields", _many_fields, send, _TOO_LARGE),
    Row("a URL of 98 MB", _long_target, send, frozenset({414})),
    Row("30 MB of trailers", _trailers, send, _TOO_LARGE),
    Row("a chunk extension of 30 MB", _chunk_extension, send, _TOO_LARGE),
    Row(
        "200,000 pipelined requests, answers never read",
        _pipeline,
        _never_reads,
        frozenset({None}),
        answer_seconds=60.0,
    ),
    Row(
        "the same, with larger answers",
        _larger_pipeline,
        _never_reads,
        frozenset({None}),
        answer_seconds=60.0,
    ),
    Row(
        "500 heads, a byte now and then",
        _heads,
        _slow_heads,
        frozenset({None, 408}),
        answer_seconds=60.0,
    ),
)
