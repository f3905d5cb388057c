"""Measure work in bulk: the command in this process and on workers of Ray, in turn.

Run ``python -m benchmarks.bulk`` in an environment that has the extra `ray`. The images are the
digits that came with the model, over and over, in a Parquet file in a temporary folder. Both
engines read the same file, and what they write has to be the same.
"""

import argparse
import filecmp
import io
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from artifact.audit_set import load_audit_set
from benchmarks.bulk.processes import Cost, measure
from benchmarks.machine import describe_machine

ENGINES: Final = ("local", "ray")
_ROWS: Final = 1024


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.bulk")
    options.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    options.add_argument("--model", default="rotmnist-c4-int8")
    options.add_argument("--command", choices=["classify", "audit"], default="classify")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--workers", type=int)
    options.add_argument("--folder", type=Path, help="for the images; else the system's")
    asked = options.parse_args()
    print(f"{describe_machine()}; {asked.command}, {asked.model}", flush=True)
    print("| images | engine | seconds | images/s | CPU seconds | MiB | of the local seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for count in asked.images:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            table = Path(folder, "digits.parquet")
            write_digits(table, asked.model, count)
            for line in _lines(asked, table, count):
                print(line, flush=True)


def write_digits(path: Path, model: str, count: int) -> None:
    """Write so many of a model's own digits to a table, as PNG files with their labels."""
    (bundled,) = Path("model_repository", model).glob("*/audit.npz")
    digits = load_audit_set(bundled)
    labels = [0] * len(digits.images) if digits.labels is None else digits.labels.tolist()
    rows = [*zip(map(_png, digits.images[:, 0]), labels, strict=True)]
    following = islice(cycle(rows), count)
    schema = pyarrow.schema([("image", pyarrow.binary()), ("label", pyarrow.int64())])
    with parquet.ParquetWriter(path, schema) as writer:
        while some := list(islice(following, _ROWS)):
            images, shown = zip(*some, strict=True)
            writer.write_table(pyarrow.table([images, shown], schema=schema))


def _png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _lines(asked: argparse.Namespace, table: Path, count: int) -> Iterator[str]:
    costs: dict[str, list[Cost]] = {engine: [] for engine in ENGINES}
    outputs = {engine: table.with_name(f"{engine}.json{'l' * (asked.command == 'classify')}")
               for engine in ENGINES}  # fmt: skip
    for _ in range(asked.rounds):
        for engine in ENGINES:
            outputs[engine].unlink(missing_ok=True)
            costs[engine].append(
                measure(_words(asked, table, engine, outputs[engine]), {**os.environ})
            )
    if not filecmp.cmp(outputs["local"], outputs["ray"], shallow=False):
        raise SystemExit(f"The engines differ on {count} images.")
    ratio = statistics.median(
        there.seconds / here.seconds
        for here, there in zip(costs["local"], costs["ray"], strict=True)
    )
    for engine, found in costs.items():
        best = min(found, key=lambda cost: cost.seconds)
        used = f"{best.processor_seconds:.0f}" if engine == "local" else ""
        yield (
            f"| {count:,} | {engine} | {best.seconds:.1f} | {count / best.seconds:,.0f} | {used} | "
            f"{max(cost.memory for cost in found):,.0f} | {ratio if engine == 'ray' else 1:.2f} |"
        )


def _words(asked: argparse.Namespace, table: Path, engine: str, output: Path) -> Sequence[str]:
    words = [sys.executable, "-m", "orbitserve", asked.command, "--progress", "none"]
    words += ["--engine", engine, "--output", str(output)]
    if engine == "ray" and asked.workers:
        words += ["--workers", str(asked.workers)]
    if asked.command == "classify":
        return [*words, str(table), "--model", asked.model]
    return [*words, asked.model, "--images", str(table)]


if __name__ == "__main__":
    main()
