"""Train what is missing, append a line a kind of network to features.jsonl, draw and tabulate."""

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.progress import track

from benchmarks.features.kinds import KINDS, UNTRAINED, all_jobs, train
from benchmarks.features.lines import measure_kind
from benchmarks.features.report import write_report
from benchmarks.study.__main__ import read
from benchmarks.study.runs import use_one_thread


def main() -> None:
    """Run it; a network that is trained is not trained again, nor a kind measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/features"))
    parser.add_argument("--out", type=Path, default=Path("docs/study/features"))
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        options.workers, mp_context=context, initializer=use_one_thread
    ) as pool:
        training = [pool.submit(train, job, options.data, options.runs) for job in all_jobs()]
        for finished in track(as_completed(training), "trainings", total=len(training)):
            finished.result()
        results = options.out / "features.jsonl"
        done = {tuple(line["key"]) for line in read(results)}
        measuring = [
            pool.submit(measure_kind, system, width, trained, options.data, options.runs)
            for kinds, trained in ((KINDS, True), (UNTRAINED, False))
            for system, width in kinds
            if (system.name, width, trained) not in done
        ]
        for measured in track(as_completed(measuring), "kinds", total=len(measuring)):
            with results.open("a") as file:
                file.write(json.dumps(measured.result()) + "\n")
    write_report(list(read(results)), options.out)


if __name__ == "__main__":
    main()
