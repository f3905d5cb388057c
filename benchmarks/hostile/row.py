"""What a hostile client is: bytes that it prepares, and how it sends them."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

PATIENCE = 120.0
"""Seconds that a client waits for an answer."""


@dataclass(frozen=True)
class Answer:
    """Status of an answer, None where there was none, and after how many seconds it came."""

    status: int | None
    seconds: float


@dataclass(frozen=True)
class Row:
    """A hostile client.

    Attributes
    ----------
    name
        What it sends, in a few words.
    build
        Makes what it needs, before any time is taken.
    play
        Sends it to the port of a server, and returns the answers.
    statuses
        Those that are right; None is a connection that was closed, or never answered on purpose.
    growth_bytes
        By how much the server's memory may grow meanwhile.
    answer_seconds
        How long an answer may take.
    """

    name: str
    build: Callable[[], Any]
    play: Callable[[int, Any], list[Answer]]
    statuses: frozenset[int | None]
    growth_bytes: int = 50 * 2**20
    answer_seconds: float = 5.0


def connect(port: int) -> socket.socket:
    """Open a connection to a server on this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def send(port: int, blocks: Iterable[bytes]) -> list[Answer]:
    """Send blocks on one connection, as long as they are taken, and read one answer."""
    began = time.monotonic()
    with connect(port) as connection:
        with contextlib.suppress(OSError):  # a server that refuses need not read on
            for block in blocks:
                connection.sendall(block)
        return [Answer(read_status(connection), time.monotonic() - began)]


def read_status(connection: socket.socket) -> int | None:
    """Return the status of the answer that comes, or None if the connection ends before."""
    received = b""
    with contextlib.suppress(OSError):
        while b"\r\n" not in received:
            block = connection.recv(2**16)
            if not block:
                break
            received += block
    line = received.split(b"\r\n")[0].split()
    return int(line[1]) if len(line) > 1 else None


def post(body: bytes, content_type: str, *fields: str) -> list[bytes]:
    """Return a request to classify, as one block."""
    lines = ["POST /classify HTTP/1.1", "Host: localhost", *fields]
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "", ""]
    return ["\r\n".join(lines).encode() + body]
