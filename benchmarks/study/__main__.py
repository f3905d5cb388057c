"""Train what is missing, append a line a network to docs/study/results.jsonl, draw and tabulate."""

import argparse
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.study.report import write_report
from benchmarks.study.runs import measure, use_one_thread
from benchmarks.study.systems import jobs


def main() -> None:
    """Run the study; a line that is there already is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("docs/study"))
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    done = {tuple(line["key"]) for line in read(results)}
    missing = [job for job in jobs() if job.key not in done]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        options.workers, mp_context=context, initializer=use_one_thread
    ) as pool:
        running = [pool.submit(measure, job, options.data) for job in missing]
        for finished in track(as_completed(running), "networks", total=len(running)):
            with results.open("a") as file:
                file.write(json.dumps(finished.result()) + "\n")
    write_report(list(read(results)), options.out)


def read(results: Path) -> Iterator[dict[str, Any]]:
    """Yield what earlier runs measured."""
    if results.exists():
        yield from map(json.loads, results.read_text().splitlines())


if __name__ == "__main__":
    main()
