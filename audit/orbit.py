"""Ask a classifier about every exact symmetry of every image, and measure how far answers move."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.contract import decisions, probabilities_of, same_labels
from artifact.deviation import largest_logit, relative, unexplained_by_constants
from audit.labels import LabelSets, number_sets
from audit.questions import OnGrid, Places, Question, Workers
from imaging import GridSymmetry
from imaging.refusal import RefusedError

Classifier = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images uint8 [N, C, H, W] to logits float32 [N, K]; it is asked on two threads at a time."""

_AT_ONCE: Final = 2
"""Batches that are classified at once: what answers need not wait for the next one."""

_ALONE: Final = 8
"""Images at most that are asked about alone as well, as most clients ask."""

Progress = Callable[[int, int], None]
"""Called with the number of images classified so far and the number in all."""


@dataclass(frozen=True, eq=False)
class Orbit:
    """The answers to the orbits of N images under G grid symmetries.

    Attributes
    ----------
    elements
        The symmetries, identity first.
    logits : float32 [G, N, K]
    repeats : float32 [R, N, K], or None
        Of a model that does not repeat itself, the answers when the same batches were classified
        as many times more as they were rotated; None where what was asked twice had equal bits.
    repeat_deviation
        Largest change of a logit when the same batches were classified again.
    regrouped_deviation
        Largest change of a logit when the same images came in other batches: smaller ones, with
        other neighbours, and some of them alone, rotated too.
    elsewhere_deviation
        Largest change of a logit when the same batches went to the other classifiers; None if there
        were none.
    batches : int64 [N], or None
        Images with equal numbers were classified in one call; None if each was alone.
    multi_label
        Whether an image may get several labels: its label is then the set of them, so that it
        changes with the decision on any single one.
    """

    elements: tuple[GridSymmetry, ...]
    logits: NDArray[np.float32]
    repeat_deviation: float
    regrouped_deviation: float
    elsewhere_deviation: float | None = None
    repeats: NDArray[np.float32] | None = None
    batches: NDArray[np.int64] | None = None
    multi_label: bool = False

    @cached_property
    def label_sets(self) -> LabelSets:
        """Of a multi-label model: the labels that each image gets, [G, N]."""
        return number_sets(decisions(self.logits, multi_label=True))

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The most likely class, or the number of the set of labels, int64 [G, N]."""
        if self.multi_label:
            return self.label_sets.numbers
        labels: NDArray[np.int64] = self.logits.argmax(axis=-1)
        return labels

    @cached_property
    def label_changed(self) -> NDArray[np.bool_]:
        """Whether an element gives another label than the identity, bool [G, N]."""
        changed: NDArray[np.bool_] = self.labels != self.labels[0]
        return changed

    @cached_property
    def logit_deviation(self) -> NDArray[np.float64]:
        """Largest distance of a logit from that of the identity, float64 [G, N]."""
        return np.stack([_distance(logits, self.logits[0]) for logits in self.logits])

    @cached_property
    def probability_deviation(self) -> NDArray[np.float64]:
        """Largest distance of a probability from that of the identity, float64 [G, N]."""
        upright, *_ = asked = [
            probabilities_of(logits, multi_label=self.multi_label) for logits in self.logits
        ]
        return np.stack([_distance(probabilities, upright) for probabilities in asked])

    @cached_property
    def repeat_deviations(self) -> NDArray[np.float64]:
        """The same of the answers when asked again, float64 [R, N]; R is 0 where none are kept."""
        repeats = self.logits[:0] if self.repeats is None else self.repeats
        return np.array([_distance(r, self.logits[0]) for r in repeats]).reshape(
            len(repeats), self.logits.shape[1]
        )

    @cached_property
    def repeat_changed(self) -> NDArray[np.bool_]:
        """Whether asking again gives another label, bool [R, N]."""
        repeats = self.logits[:0] if self.repeats is None else self.repeats
        upright = np.broadcast_to(self.logits[0], repeats.shape)
        return ~same_labels(repeats, upright, multi_label=self.multi_label)

    @cached_property
    def largest_logit(self) -> float:
        """Largest magnitude of a logit: what deviations are relative to."""
        return largest_logit(self.logits)

    @cached_property
    def deviation_of_variation(self) -> float:
        """Largest distance of a logit, as a part of what logits vary by."""
        return unexplained_by_constants(self.logits)

    def relative(self, deviation: float) -> float:
        """A deviation of logits as a part of the largest logit."""
        return relative(deviation, self.largest_logit)


def evaluate_orbit(
    classify: Classifier,
    images: NDArray[np.uint8],
    elements: Sequence[GridSymmetry],
    *,
    others: Sequence[Classifier] = (),
    batch_size: int = 64,
    progress: Progress | None = None,
    multi_label: bool = False,
    workers: Workers | None = None,
) -> Orbit:
    """Classify every image under every element, and the upright ones twice more for the noise.

    Eight images at most are asked about alone under every element: a model may do otherwise then.
    The batch that moved farthest is asked about again as well: noise that comes rarely need not
    come twice. A classifier that does not repeat itself is asked about the upright ones as often as
    about the rotated ones: the largest of many changes is larger than that of a few.

    Parameters
    ----------
    classify
        From uint8 [N, C, H, W] to logits float32 [N, K].
    images : uint8 [N, C, H, W]
    elements
        Grid symmetries, identity first.
    others
        The same model, opened otherwise: asked about the upright images too, for the noise.
    batch_size
        The most images that are handed over at once (two where it is one, to give it a neighbour).
    progress
        Called after each batch.
    multi_label
        Whether an image may get several labels.
    workers
        Who is asked instead of `classify` where it is about all images: the same model elsewhere.

    Raises
    ------
    ValueError
        If the batch size is not positive, an element changes the shape of the images, or the
        classifier answers with anything but finite logits [N, K] with K >= 2.
    """
    if batch_size < 1:
        raise ValueError(f"The batch size is {batch_size}; 1 and more is accepted.")
    if any(g(images).shape != images.shape for g in elements):
        raise RefusedError(
            f"The images have shape {images.shape}; square images are accepted under quarter turns."
        )
    count = len(images)
    batches = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
    total = orbit_classifications(count, len(elements), batch_size)
    ask = BatchedClassifier(classify, total, progress, workers)
    rotated = [*ask.answers((OnGrid(b, g) for g in elements for b in batches), images)]
    logits = np.concatenate(rotated).reshape(len(elements), count, -1)
    upright = logits[0]

    def moved(
        asked: BatchedClassifier, places: Sequence[Places], under: Sequence[int] = (0,)
    ) -> float:
        """How far logits of images, under elements of these numbers, are from those before."""
        chosen = [(n, place) for n in under for place in places]
        answers = asked.answers((OnGrid(place, elements[n]) for n, place in chosen), images)
        return max(
            (
                float(_distance(answer, logits[n, place]).max())
                for (n, place), answer in zip(chosen, answers, strict=True)
            ),
            default=0.0,
        )

    def repeated(asked: BatchedClassifier) -> NDArray[np.float32]:
        return np.concatenate([*asked.answers(map(OnGrid, batches), images)])

    farthest = np.stack([_distance(each, upright) for each in logits]).argmax()
    element, worst = int(farthest) // count, batches[farthest % count // batch_size]
    worst_again = _distance(ask(elements[element](images[worst])), logits[element, worst]).max()
    repeats = [repeated(ask)]
    noisy = worst_again > 0 or not np.array_equal(repeats[0], upright)
    if noisy:
        more = BatchedClassifier(classify, workers=workers)
        repeats += [repeated(more) for _ in range(len(elements) - 2)]
    return Orbit(
        tuple(elements),
        logits,
        repeat_deviation=float(max(worst_again, *(_distance(r, upright).max() for r in repeats))),
        regrouped_deviation=max(
            moved(ask, _other_batches(count, batch_size)),
            moved(ask, _alone(count, batch_size), range(len(elements))),
        ),
        elsewhere_deviation=max(
            (moved(BatchedClassifier(o), batches) for o in others), default=None
        ),
        repeats=np.stack(repeats) if noisy else None,
        batches=np.arange(count) // batch_size,
        multi_label=multi_label,
    )


def orbit_classifications(count: int, elements: int, batch_size: int = 64) -> int:
    """How many images `evaluate_orbit` classifies, of so many images under so many elements.

    Fewer where the batch that moved farthest is a short one, more of a model that is noisy.
    """
    once_more = min(batch_size, count)
    others = sum(map(len, _other_batches(count, batch_size)))
    return (elements + 1) * count + once_more + others + elements * len(_alone(count, batch_size))


def symmetrise(classify: Classifier, elements: Iterable[GridSymmetry]) -> Classifier:
    """The average of a classifier's logits over a group: an exactly invariant classifier.

    A rotated image permutes the summands. They are sorted before they are added, so the sum does
    not depend on that permutation, not even in its rounding.
    """
    group = tuple(elements)

    def average(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = np.stack([classify(np.ascontiguousarray(g(images))) for g in group])
        mean: NDArray[np.float64] = np.sort(logits, axis=0).mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)

    return average


class BatchedClassifier:
    """Hands batches to a classifier or to workers, checks answers and reports the progress."""

    def __init__(
        self,
        classify: Classifier,
        total: int = 0,
        progress: Progress | None = None,
        workers: Workers | None = None,
    ) -> None:
        self._classify, self._workers = classify, workers
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits of a batch; ValueError if they are not finite, [N, K] with K >= 2."""
        logits = self._classify(np.ascontiguousarray(batch))
        return self._checked(logits, len(batch))

    def answers(
        self, questions: Iterable[Question], images: NDArray[np.uint8]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the logits of the questions' batches in their order: of workers, if there are."""
        if self._workers is None:
            return self.each(batch for question in questions for batch in question.batches(images))
        return map(self._checked, self._workers(questions))

    def each(self, batches: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the logits of batches in their order.

        While one is classified the next one has been asked about, and the one after that is made.
        """
        asked: deque[Future[NDArray[np.float32]]] = deque()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="audit") as asking:
            try:
                for batch in batches:
                    asked.append(asking.submit(self, batch))
                    if len(asked) == _AT_ONCE:
                        yield asked.popleft().result()
                while asked:
                    yield asked.popleft().result()
            finally:
                for answer in asked:
                    answer.cancel()

    def _checked(
        self, logits: NDArray[np.float32], count: int | None = None
    ) -> NDArray[np.float32]:
        asked = len(logits) if count is None else count
        if logits.ndim != 2 or len(logits) != asked or logits.shape[1] < 2:
            raise RefusedError(
                f"The classifier answers {asked} images with shape {logits.shape}; "
                "logits [N, K] with K >= 2 are accepted."
            )
        if not np.isfinite(logits).all():
            raise RefusedError(
                "The classifier answers with NaN or infinity; finite logits are accepted."
            )
        with self._lock:
            self._done += len(logits)
            if self._progress is not None:
                self._progress(self._done, self._total)
        return logits


def _other_batches(count: int, batch_size: int) -> list[NDArray[np.int64]]:
    """Every image in a batch of another size (half, or two instead of one), among other images.

    Neighbours come from all over the set, and a batch that runs short repeats its own.
    """
    size = min(batch_size, count) // 2 or 2
    batches = -(-count // size)
    return [np.resize(np.arange(start, count, batches), size) for start in range(batches)]


def _alone(count: int, batch_size: int) -> list[slice]:
    """Some images from all over the set, each by itself; none where each was so before."""
    if min(count, batch_size) == 1:
        return []
    return [slice(n, n + 1) for n in range(0, count, -(-count // _ALONE))]


def _distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    distance: NDArray[np.float64] = np.abs(a.astype(np.float64) - b).max(axis=-1)
    return distance
