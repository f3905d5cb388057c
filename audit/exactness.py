"""Whether logits are the same in every bit, however an image is rotated and whoever its neighbours.

A verdict allows a tolerance, exactness does not. It is measured on what runs: the graph that the
runtime made of a file, with its execution provider and options.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from artifact.figures import Exactness
from audit.moved import moved_images
from audit.orbit import Classifier, Progress
from imaging import GridSymmetry, grid_symmetries

BATCH_SIZES = (1, 3, 8, 64)
"""Where kernels change: a lone image, less than a vector, a vector, many."""


def measure_exactness(
    sessions: Sequence[tuple[str, Classifier]],
    images: NDArray[np.uint8],
    group: str,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    progress: Progress | None = None,
) -> Exactness:
    """Classify images rotated, in batches of several sizes among other neighbours, by each session.

    Parameters
    ----------
    sessions
        Names and classifiers of one model, opened in different ways; at least one.
    images : uint8 [N, C, H, W]
    group
        Its grid symmetries are tried. Where there are any beside the identity, and there is no
        image that all of them change, it is not shown that bits are equal.
    batch_sizes
        Those above the number of images are all of them at once, which is tried once.
    progress
        Called with the images classified so far and in all.
    """
    elements = grid_symmetries(group)
    count = len(images)
    total = exactness_classifications(count, group, len(sessions), batch_sizes)
    reference = _in_batches(sessions[0][1], images, max(batch_sizes))
    shown = len(elements) == 1 or moved_images(images, elements, still=0).any()
    exact, deviation = bool(shown), 0.0
    for done, logits in enumerate(_answers(sessions, images, elements, batch_sizes), start=2):
        exact = exact and np.array_equal(logits.view(np.uint32), reference.view(np.uint32))
        deviation = max(deviation, float(np.abs(logits.astype(np.float64) - reference).max()))
        if progress is not None:
            progress(done * count, total)
    return Exactness(
        images=count,
        elements=tuple(element.name for element in elements),
        batch_sizes=tuple(batch_sizes),
        sessions=tuple(name for name, _ in sessions),
        exact=exact,
        max_logit_deviation=deviation,
    )


def exactness_classifications(
    count: int, group: str, sessions: int, batch_sizes: Sequence[int] = BATCH_SIZES
) -> int:
    """How many images `measure_exactness` classifies, of so many images by so many sessions."""
    passes = len(grid_symmetries(group)) + len(_sizes(count, batch_sizes))
    return (1 + sessions * passes) * count


def _answers(
    sessions: Sequence[tuple[str, Classifier]],
    images: NDArray[np.uint8],
    elements: Sequence[GridSymmetry],
    batch_sizes: Sequence[int],
) -> Iterator[NDArray[np.float32]]:
    random = np.random.default_rng(0)
    for _, classify in sessions:
        for element in elements:
            rotated = np.ascontiguousarray(element(images))
            yield _in_batches(classify, rotated, max(batch_sizes))
        for size in _sizes(len(images), batch_sizes):
            order = random.permutation(len(images))
            logits = np.empty_like(shuffled := _in_batches(classify, images[order], size))
            logits[order] = shuffled
            yield logits


def _sizes(count: int, batch_sizes: Sequence[int]) -> list[int]:
    return sorted({min(size, count) for size in batch_sizes})


def _in_batches(classify: Classifier, images: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    return np.concatenate([classify(images[i : i + size]) for i in range(0, len(images), size)])
