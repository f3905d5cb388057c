"""Train what is missing, append a line a network to docs/inspection/cells.jsonl, and tabulate."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.cells import report
from benchmarks.cells.runs import measure, run_figures
from benchmarks.cells.systems import SPLITS, SYSTEMS, jobs
from benchmarks.cells.twins import twins
from benchmarks.machine import describe_machine
from imaging.refusal import RefusedError


def main() -> None:
    """Run the comparison; a line that is there already is not measured again.

    With ``--run`` the table is of one finished run of `orbitserve train`, and nothing is trained.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/inspection/cells.jsonl"))
    parser.add_argument("--runs", type=Path, default=Path("runs/cells"))
    parser.add_argument("--seeds", type=int, default=3, help="networks of a kind on a split")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--arithmetic", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--splits", nargs="+", default=SPLITS, choices=SPLITS)
    names = tuple(system.name for system in SYSTEMS)
    parser.add_argument("--systems", nargs="+", default=names, choices=names)
    parser.add_argument("--run", type=Path, help="a folder of `orbitserve train`")
    options = parser.parse_args()
    if options.run:
        try:
            print(report.parts(run_figures(options.run)))
        except RefusedError as error:
            parser.error(str(error))
        return

    done = {tuple(line["key"]) for line in read(options.out)}
    for job in jobs(options.systems, range(options.seeds)):
        if job.split in options.splits and job.key not in done:
            line = measure(job, options.epochs, options.arithmetic, options.runs)
            with options.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    print(f"{describe_machine()}, PyTorch {torch.__version__}\n")
    print(report.leaks({split: twins(split) for split in SPLITS}), end="\n\n")
    lines = list(read(options.out))
    for cells in ("all", "mono", "poly"):
        print(f"{cells}:\n\n{report.results(lines, cells)}\n")


def read(results: Path) -> Iterator[dict[str, Any]]:
    """Yield what earlier runs measured."""
    if results.exists():
        yield from map(json.loads, results.read_text().splitlines())


if __name__ == "__main__":
    main()
