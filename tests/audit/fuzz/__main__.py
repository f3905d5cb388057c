"""`python -m tests.audit.fuzz`: as many graphs as asked for, on all cores, and their table."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from artifact.cpus import cpu_budget
from tests.audit.fuzz.draw import draw_graph
from tests.audit.fuzz.shrink import shrink
from tests.audit.fuzz.tally import Tally
from tests.audit.fuzz.trial import BAD, try_seeds


def main() -> None:
    """Try graphs and print the table; status 1 if a verdict was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit.fuzz", description=__doc__)
    parser.add_argument("--graphs", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0, help="the first seed: to go on from there")
    parser.add_argument("--workers", type=int, default=cpu_budget())
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="for bad graphs")
    asked = parser.parse_args()
    console, tally = Console(stderr=True), Tally()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("graphs", total=asked.graphs)
        seeds = range(asked.start, asked.start + asked.graphs)
        try:
            for seed, judgement, operators in try_seeds(seeds, asked.workers):
                tally.add(judgement, operators)
                progress.advance(bar)
                if judgement.finding in BAD:
                    progress.console.print(f"seed {seed}: {judgement}", markup=False)
                    asked.found.mkdir(parents=True, exist_ok=True)
                    small = shrink(draw_graph(seed))
                    (asked.found / f"{seed}.onnx").write_bytes(small.SerializeToString())
        except KeyboardInterrupt:
            done = sum(tally.findings.values())
            console.print(f"Interrupted after {done} graphs, of which the table speaks.")
    print(tally.table())
    raise SystemExit(1 if any(tally.findings[bad] for bad in BAD) else 0)


if __name__ == "__main__":
    main()
