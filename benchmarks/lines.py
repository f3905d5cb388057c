"""What the log line of an answered request costs the thread of the event loop."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.machine import describe_machine
from service.metrics.call import Call
from service.metrics.logs import configure_logs
from service.metrics.request_lines import RequestLines
from service.settings import Settings

ROUNDS, REPEATS = 200, 100
STYLES: Final = ("console", "json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the processor time of a line, the shortest and the median of the repeats."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lines", description=__doc__)
    parser.add_argument("--together", type=int, nargs="+", default=[1, 8], metavar="LINES")
    options = parser.parse_args(arguments)
    print(f"{describe_machine()}; into a file\n")
    print("| lines a round of the event loop | for people | as JSON |\n| --- | --- | --- |")
    for together in options.together:
        cells = [
            f"{1e6 * each[0]:.1f} ({1e6 * each[len(each) // 2]:.1f})"
            for each in (sorted(measure(style, together)) for style in STYLES)
        ]
        print(f"| {together} | {' | '.join(cells)} |")


def measure(style: str, together: int) -> list[float]:
    """Return the seconds of a line, of each repeat."""
    stderr = sys.stderr
    with tempfile.TemporaryFile("w", buffering=1) as file:
        sys.stderr = file
        try:
            configure_logs(style, "info")  # type: ignore[arg-type] # one of `STYLES`
            return asyncio.run(_measure(together))
        finally:
            sys.stderr = stderr


async def _measure(together: int) -> list[float]:
    lines = RequestLines(Settings())
    found = []
    for _ in range(REPEATS):
        with_lines = await _seconds(lines, [_answered() for _ in range(together)])
        found.append((with_lines - await _seconds(lines, [])) / ROUNDS / together)
    return found


def _answered() -> Call:
    call = Call(model="rotmnist-c4-int8", version=1, rows=1)
    call.timings.add_engine(call.timings.began, 0.0003, 0.0012)
    return call


async def _seconds(lines: RequestLines, calls: Sequence[Call]) -> float:
    began = time.thread_time()
    for _ in range(ROUNDS):
        for call in calls:
            lines.write(
                call,
                "0123456789abcdef0123456789abcdef",
                method="POST",
                path="/v2/models/rotmnist-c4-int8/infer",
                status=200,
            )
        await asyncio.sleep(0)
    return time.thread_time() - began


if __name__ == "__main__":
    main()
