"""A load generator: keep-alive connections that each send one request after the other."""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What came back within the time: answers and their latencies in seconds, ascending."""

    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, part: float) -> float:
        """Return the latency that ``part`` of all answers did not exceed."""
        return self.latencies[min(int(part * len(self.latencies)), len(self.latencies) - 1)]


def post(path: str, content_type: str, body: bytes) -> bytes:
    """Return a POST request as bytes, ready to be sent again and again."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def drive(port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """Send ``request`` over ``connections`` to a server on this machine, for ``seconds``.

    Raises
    ------
    RuntimeError
        If an answer is not 200.
    """
    return asyncio.run(_drive(port, request, connections, seconds))


async def _drive(port: int, request: bytes, connections: int, seconds: float) -> Load:
    latencies: list[float] = []
    start = time.perf_counter()
    deadline = start + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(port, request, deadline, latencies))
    return Load(time.perf_counter() - start, tuple(sorted(latencies)))


async def _connection(port: int, request: bytes, deadline: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (sent := time.perf_counter()) < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"The service answered {head.splitlines()[0].decode()}.")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            latencies.append(time.perf_counter() - sent)
    finally:
        writer.close()
