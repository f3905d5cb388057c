"""Files as onnxruntime runs them on this machine's CPU, for everything that an export measures."""

from collections.abc import Iterator

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from artifact.batch_sizes import MOST, in_sizes, tried_sizes
from artifact.contract import INPUT, LOGITS
from artifact.cpus import cpu_budget
from artifact.session import CPU_PROVIDER, open_session
from audit import Classifier
from audit.machine import cpu_flags

BATCH = MOST

RUNTIME = f"onnxruntime {ort.__version__}, {CPU_PROVIDER}"


def open_model(model: bytes, threads: int | None = None) -> Classifier:
    """Return a function from images uint8 ``[N, C, H, W]`` to logits float32 ``[N, K]``.

    It runs as it is served: where it may hang on the number of images, in batches that were tried.
    ``threads`` is by default the number of CPUs that this process may use.
    """
    session = open_session(model, threads or cpu_budget())

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run([LOGITS], {INPUT: images})[0]
        return logits

    return in_sizes(classify, tried_sizes(model))


def batches(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield images in batches of at most ``BATCH``."""
    yield from np.array_split(images, range(BATCH, len(images), BATCH))


def has_vnni() -> bool:
    """Whether this CPU multiplies pairs of 8-bit integers into 32 bits in one instruction."""
    return bool({"avx512_vnni", "avx_vnni", "asimddp"} & cpu_flags())
