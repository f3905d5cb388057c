"""The service, with shadow audits that a byte of a file switches on and off while it runs.

No two processes of one program are equally fast: p99s of the same service, started twice, were up
to 7 % apart. So what shadow audits cost is what changes in one process when they are switched.

A burden can be added to them, to see that a comparison notices one.
"""

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifact.contract import Images
from service.engine import Inference
from service.engine.priorities import IdleQueue
from service.environment import read_settings
from service.server import serve
from service.shadow import Shadow

VARIABLE = "BENCHMARK_SWITCH"
BURDEN = "BENCHMARK_BURDEN"
OFF, ON = 0, 1


class Switch:
    """The byte, as whoever turns it sees it."""

    def __init__(self, byte: mmap.mmap) -> None:
        self._byte = byte

    def turn(self, on: bool) -> None:
        """Turn the shadow audits on or off, at once."""
        self._byte[0] = ON if on else OFF


@contextmanager
def switch(file: Path) -> Iterator[Switch]:
    """Write the file, with shadow audits switched off, and yield what turns them on."""
    file.write_bytes(bytes([OFF]))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 1) as byte:
        yield Switch(byte)


def obey(byte: mmap.mmap, burden: float = 0.0) -> None:
    """Let no image be offered to any shadow, and no trial start, while the byte says so.

    Parameters
    ----------
    burden
        Seconds for which every offer keeps the event loop busy besides.
    """
    offer, rest, pause = Shadow.offer, IdleQueue.rest, IdleQueue.pause

    def offer_if_on(self: Shadow, images: Images, answer: Inference) -> None:
        if byte[0] == ON:
            offer(self, images, answer)
            if burden:
                until = time.perf_counter() + burden
                while time.perf_counter() < until:
                    pass

    def rest_if_on(self: IdleQueue, now: float) -> float | None:
        return rest(self, now) if byte[0] == ON else None

    def pause_if_on(self: IdleQueue, now: float) -> float | None:
        return pause(self, now) if byte[0] == ON else None

    Shadow.offer = offer_if_on  # type: ignore[method-assign]
    IdleQueue.rest = rest_if_on  # type: ignore[method-assign]
    IdleQueue.pause = pause_if_on  # type: ignore[method-assign]


def main() -> None:
    """Serve as `orbitserve serve` does with the settings of the environment."""
    with (
        Path(os.environ[VARIABLE]).open("r+b") as file,
        mmap.mmap(file.fileno(), 1) as byte,
    ):
        obey(byte, float(os.environ[BURDEN]))
        serve(read_settings())


if __name__ == "__main__":
    main()
