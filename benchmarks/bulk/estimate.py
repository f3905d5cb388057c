"""What a million images a minute takes, from what is measured here and prices that are assumed.

Run ``python -m benchmarks.bulk.estimate``. Processor time is measured, of one core, which other
work on the machine hardly changes; what a GPU does and what things cost are options.
"""

import argparse
import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from artifact.audit_set import load_audit_set
from benchmarks.machine import describe_machine
from benchmarks.serving.resnet import photographs
from imaging import FitPolicy, decode, fit
from service.engine.providers import CPU, start

A_MINUTE: Final = 1_000_000
_TRIES: Final = 400


@dataclass(frozen=True)
class Kind:
    """A kind of image.

    Attributes
    ----------
    size
        Bytes of a file, on the average.
    reading
        Processor seconds to decode and fit one.
    classifying
        Processor seconds to classify one on a CPU; None where a GPU does it.
    answer
        Bytes of the line that is written of one.
    """

    name: str
    size: float
    reading: float
    classifying: float | None
    answer: float = 300.0


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.bulk.estimate"
    )
    options.add_argument("--gpu-images", type=float, default=5000.0, help="a second, of one GPU")
    options.add_argument("--gpu-hour", type=float, default=3.0, help="price of a GPU")
    options.add_argument("--core-hour", type=float, default=0.05, help="price of a core")
    options.add_argument("--gigabyte-month", type=float, default=0.023, help="price of storage")
    options.add_argument("--use", type=float, default=0.7, help="part of the time that is used")
    asked = options.parse_args()
    print(describe_machine())
    print(
        "| images | MB a minute | Gbit/s | cores | GPUs | answers, MB a minute | an hour "
        "| a million |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in (_digits(), _photographs()):
        print(_line(kind, asked))
    kept = _photographs().size * A_MINUTE * 60 * 24 / 1e9 * asked.gigabyte_month
    print(f"a day of such photographs, kept for a month: {kept:,.0f}")


def _line(kind: Kind, asked: argparse.Namespace) -> str:
    a_second = A_MINUTE / 60
    work = kind.reading + (kind.classifying or 0.0)
    cores = math.ceil(a_second * work / asked.use)
    gpus = 0 if kind.classifying is not None else math.ceil(a_second / asked.gpu_images / asked.use)
    hour = cores * asked.core_hour + gpus * asked.gpu_hour
    return (
        f"| {kind.name}, {kind.size / 1e3:,.1f} kB, {1e3 * work:.2f} ms of a core | "
        f"{kind.size * A_MINUTE / 1e6:,.0f} | {kind.size * a_second * 8 / 1e9:.2f} | {cores} | "
        f"{gpus} | {kind.answer * A_MINUTE / 1e6:,.0f} | {hour:.2f} | {hour / 60:.3f} |"
    )


def _digits() -> Kind:
    folder = Path("model_repository/rotmnist-c4-int8/1")
    images = load_audit_set(folder / "audit.npz").images
    files = []
    for image in images[:64, 0]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        files.append(file.getvalue())
    session = start((folder / "model.onnx").read_bytes(), CPU, 1)
    batch = images[:32]
    seconds = _seconds(lambda: session.run(None, {"image": batch}), 40) / len(batch)
    return Kind("digits, on CPUs", _mean(files), _reading(files, 1, 28), seconds)


def _photographs() -> Kind:
    files = [*photographs()]
    return Kind("photographs, on GPUs", _mean(files), _reading(files, 3, 224), None)


def _reading(files: list[bytes], channels: int, size: int) -> float:
    following: Iterator[bytes] = iter(files * (_TRIES // len(files) + 1))
    policy = FitPolicy(size)

    def read() -> None:
        fit(decode(next(following), 1 if channels == 1 else 3, max_pixels=2**25), policy)

    return _seconds(read, _TRIES // 2)


def _mean(files: list[bytes]) -> float:
    return float(np.mean([*map(len, files)]))


def _seconds(work: Callable[[], object], times: int) -> float:
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


if __name__ == "__main__":
    main()
