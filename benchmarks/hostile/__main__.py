"""`python -m benchmarks.hostile`: one client that tries to stop the service, row by row.

Each row gets a server of its own. The table of docs/operations.md is what this prints.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hostile.content import CONTENT
from benchmarks.hostile.measure import SHUTDOWN_SECONDS, Figures, measure
from benchmarks.hostile.row import Row
from benchmarks.hostile.transport import TRANSPORT
from benchmarks.machine import describe_machine
from benchmarks.serving.server import Launch, free_port

ROWS = (*TRANSPORT, *CONTENT)
ROOT = Path(__file__).parents[2]
MODEL = Path("rotmnist-c4-int8")
IMAGE = ROOT / "examples" / "seven.png"
SETTINGS = {"shutdown_seconds": SHUTDOWN_SECONDS, "receive_seconds": 5, "log_level": "error"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a row."""
    parser = argparse.ArgumentParser(prog="benchmarks.hostile", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    options = parser.parse_args(arguments)
    rows = [row for row in ROWS if options.only in row.name]
    if not rows:
        sys.exit(f"benchmarks.hostile: no row is named '{options.only}'.")
    print(f"{describe_machine()}; " + ", ".join(f"{k}={v}" for k, v in SETTINGS.items()) + ".\n")
    print(*HEAD, sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "model_repository" / MODEL, Path(folder) / MODEL)
        for row in rows:
            port = free_port()
            figures = measure(row, launch(Path(folder), port), port, IMAGE.read_bytes())
            print(line(row, figures), flush=True)


def launch(repository: Path, port: int, command: Sequence[str] = ()) -> Launch:
    """Return how a server is started that a row is played against."""
    options = SETTINGS | {"repository": repository, "device": "cpu", "port": port, "proof": "off"}
    environment = {f"ORBITSERVE_{name.upper()}": str(value) for name, value in options.items()}
    command = command or [sys.executable, "-m", "orbitserve", "serve"]
    return Launch(command, os.environ | environment, "/readyz", ROOT)


HEAD = (
    "| one client sends | answer | after | memory | slowest `/healthz` | slowest classification "
    "| unanswered | SIGTERM ends it in |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def line(row: Row, figures: Figures) -> str:
    """Return a row of the table."""
    answers = ", ".join(sorted({_status(answer.status) for answer in figures.answers}))
    after = max((answer.seconds for answer in figures.answers), default=0.0)
    healthz, other = figures.slowest
    ending = figures.ending_seconds
    cells = (
        row.name,
        answers or "lost",
        f"{after:.1f} s",
        f"+ {figures.growth_bytes / 1e6:,.0f} MB",
        f"{1000 * healthz:,.0f} ms",
        f"{1000 * other:,.0f} ms",
        str(figures.failures),
        "not in time" if ending is None else f"{ending:.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def _status(status: int | None) -> str:
    return "none" if status is None else str(status)


if __name__ == "__main__":
    main()
