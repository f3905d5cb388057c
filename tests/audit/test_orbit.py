import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifact.contract import softmax
from audit import (
    Classifier,
    Counterexample,
    Orbit,
    Thresholds,
    clopper_pearson,
    evaluate_orbit,
    symmetrise,
)
from audit.figures import noise_floor, orbit_figures, worst_images
from audit.orbit import BatchedClassifier, orbit_classifications
from imaging import grid_symmetries

C4 = grid_symmetries("C4")


# --- asking -----------------------------------------------------------------------------------


def test_the_logits_are_those_of_the_rotated_images(
    plain: Classifier, images: NDArray[np.uint8]
) -> None:
    orbit = evaluate_orbit(plain, images[:50], C4, batch_size=16)
    for g, logits in zip(C4, orbit.logits, strict=True):
        assert np.array_equal(logits, plain(g(images[:50])))


@given(st.integers(1, 40), st.integers(1, 50))
def test_every_image_is_asked_often_enough_in_batches_of_the_size(
    count: int, batch_size: int
) -> None:
    sizes: list[int] = []
    steps: list[tuple[int, int]] = []

    def classify(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(batch))
        return np.zeros((len(batch), 2), np.float32)

    images = np.zeros((count, 1, 2, 2), np.uint8)
    evaluate_orbit(
        classify, images, C4, batch_size=batch_size, progress=lambda *step: steps.append(step)
    )
    assert max(sizes) <= max(batch_size, 2)
    assert sum(sizes) >= (len(C4) + 2) * count
    done = [0, *(done for done, _ in steps)]
    assert sorted(b - a for a, b in itertools.pairwise(done)) == sorted(sizes)
    assert {total for _, total in steps} == {sum(sizes)}


def test_an_invariant_classifier_does_not_move(
    invariant: Classifier, images: NDArray[np.uint8]
) -> None:
    orbit = evaluate_orbit(invariant, images, grid_symmetries("D4"))
    assert orbit.logit_deviation.max() == 0
    assert orbit.probability_deviation.max() == 0
    assert not orbit.label_changed.any()


def test_a_plain_classifier_moves(plain: Classifier, images: NDArray[np.uint8]) -> None:
    orbit = evaluate_orbit(plain, images, C4)
    assert orbit.relative(orbit.logit_deviation.max()) > 0.1
    assert orbit.label_changed[1:].mean() > 0.2
    assert not orbit.label_changed[0].any()


@pytest.mark.parametrize(
    "logits",
    [
        np.full((3, 2), np.nan, np.float32),
        np.full((3, 2), np.inf, np.float32),
        np.zeros((3, 1), np.float32),
        np.zeros((2, 2), np.float32),
        np.zeros(3, np.float32),
    ],
    ids=["nan", "infinity", "one class", "other count", "one axis"],
)
def test_answers_that_are_no_logits_are_refused(logits: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match=r"The classifier answers .* accepted"):
        evaluate_orbit(lambda _: logits, np.zeros((3, 1, 2, 2), np.uint8), C4)


def test_oblong_images_are_refused_where_they_cannot_be_rotated(invariant: Classifier) -> None:
    with pytest.raises(ValueError, match="square images are accepted"):
        evaluate_orbit(invariant, np.zeros((3, 1, 8, 9), np.uint8), C4)


def test_an_empty_batch_is_refused(invariant: Classifier, images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="batch size is 0"):
        evaluate_orbit(invariant, images, C4, batch_size=0)


# --- the noise floor --------------------------------------------------------------------------


def numbered(count: int) -> NDArray[np.uint8]:
    """Images that all differ, so that any other neighbour is another batch."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(4, axis=3).repeat(4, axis=2)


def mean_grey(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = images.mean(axis=(1, 2, 3), dtype=np.float32)
    return np.stack([grey, -grey], axis=1)


@pytest.mark.slow
@given(st.integers(2, 100), st.integers(1, 100))
def test_the_floor_shows_a_classifier_that_minds_its_neighbours(
    count: int, batch_size: int
) -> None:
    def batch_normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = mean_grey(images)
        return logits - logits.mean(axis=0)

    orbit = evaluate_orbit(batch_normalised, numbered(count), C4, batch_size=batch_size)
    assert orbit.repeat_deviation == 0
    assert orbit.regrouped_deviation > 0.1


@pytest.mark.slow
@given(st.integers(1, 100), st.integers(1, 100))
def test_the_floor_shows_a_classifier_that_minds_the_batch_size(
    count: int, batch_size: int
) -> None:
    def sized(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return mean_grey(images) + np.array([len(images), 0], np.float32)

    orbit = evaluate_orbit(sized, numbered(count), C4, batch_size=batch_size)
    assert orbit.repeat_deviation == 0
    assert orbit.regrouped_deviation >= 1


def test_the_floor_shows_a_classifier_that_does_not_repeat_itself() -> None:
    calls = itertools.count()

    def unsteady(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return mean_grey(images) + np.array([next(calls), 0], np.float32)

    assert evaluate_orbit(unsteady, numbered(10), C4).repeat_deviation > 0


def test_noise_that_comes_once_is_noise() -> None:
    """The mutant: upright batches alone are asked about again, and these had equal bits."""
    calls = itertools.count()

    def once(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return mean_grey(images) * (-1 if next(calls) == 7 else 1)

    orbit = evaluate_orbit(once, numbered(30), C4, batch_size=10)
    assert orbit.label_changed.sum() == 10
    assert orbit.repeat_deviation > 0
    assert orbit.repeats is not None
    assert orbit.repeats.shape == (3, 30, 2)
    assert orbit.repeat_changed.sum() == 0
    assert evaluate_orbit(mean_grey, numbered(30), C4, batch_size=10).repeats is None


@given(st.integers(1, 100), st.integers(1, 100))
def test_the_floor_of_a_steady_classifier_is_zero(count: int, batch_size: int) -> None:
    orbit = evaluate_orbit(mean_grey, numbered(count), C4, batch_size=batch_size)
    assert noise_floor(orbit, 0.95).relative == 0


# --- figures ----------------------------------------------------------------------------------


def orbit_of(logits: object) -> Orbit:
    return Orbit(C4, np.array(logits, np.float32), repeat_deviation=0, regrouped_deviation=0)


random_logits = st.builds(
    lambda seed, count: np.random.default_rng(seed).normal(0, 3, (4, count, 3)),
    st.integers(0, 2**32),
    st.integers(1, 12),
)


@given(random_logits)
def test_the_figures_follow_their_definitions(values: NDArray[np.float64]) -> None:
    orbit = orbit_of(values)
    figures = orbit_figures(orbit, None, Thresholds())
    logits = orbit.logits.astype(float)
    _, count, _ = logits.shape
    tops = [[int(np.argmax(row)) for row in element] for element in logits]
    agreeing = sum(len({element[n] for element in tops}) == 1 for n in range(count))
    powers = np.exp(logits)
    probabilities = powers / powers.sum(axis=2, keepdims=True)

    assert figures.images == count
    assert figures.agreeing_images == agreeing
    assert figures.label_agreement == agreeing / count
    assert figures.agreement_interval == clopper_pearson(agreeing, count, 0.95)
    assert figures.max_logit_deviation == np.abs(logits - logits[0]).max()
    assert figures.largest_logit == np.abs(logits).max()
    assert figures.relative_logit_deviation == (figures.max_logit_deviation / figures.largest_logit)
    assert figures.max_probability_deviation == pytest.approx(
        np.abs(probabilities - probabilities[0]).max(), abs=1e-12
    )
    assert [e.element for e in figures.elements] == ["r90", "r180", "r270"]
    assert [e.changed_labels for e in figures.elements] == [
        sum(a != b for a, b in zip(element, tops[0], strict=True)) for element in tops[1:]
    ]
    assert max(e.max_logit_deviation for e in figures.elements) == figures.max_logit_deviation


def test_the_image_is_the_sampling_unit() -> None:
    # Two images, one of which changes its label under three elements: one of two agrees.
    steady, fickle = [1, 0], [0, 1]
    orbit = orbit_of([[steady, steady], *[[steady, fickle]] * 3])
    figures = orbit_figures(orbit, None, Thresholds())
    assert (figures.agreeing_images, figures.images) == (1, 2)
    assert figures.agreement_interval == clopper_pearson(1, 2, 0.95)


def test_accuracy_counts_upright_images_only() -> None:
    orbit = orbit_of([[[1, 0], [1, 0], [0, 1]], *[[[0, 1]] * 3] * 3])
    accuracy = orbit_figures(orbit, np.array([0, 1, 1]), Thresholds(confidence=0.9)).accuracy
    assert accuracy is not None
    assert (accuracy.correct, accuracy.count) == (2, 3)
    assert accuracy.interval == clopper_pearson(2, 3, 0.9)


def test_probabilities_of_huge_logits_are_finite() -> None:
    probabilities = softmax(np.array([[3e38, -3e38], [0, 0]], np.float32))
    assert probabilities.tolist() == [[1, 0], [0.5, 0.5]]


def test_logits_that_are_all_zero_do_not_deviate() -> None:
    figures = orbit_figures(orbit_of(np.zeros((4, 3, 2))), None, Thresholds())
    assert figures.relative_logit_deviation == 0
    assert figures.label_entropy == 0


def test_the_worst_image_is_one_whose_label_changed() -> None:
    orbit = orbit_of(
        [
            [[5, 0], [1, 0], [9, 0], [2, 0]],
            [[5, 0], [0, 1], [4, 0], [2, 0]],
            [[5, 0], [3, 0], [3, 0], [2, 0]],
            [[5, 0], [1, 0], [9, 0], [2, 0]],
        ]
    )
    images = numbered(4)
    worst = worst_images(orbit, images, limit=10, pictures=False)
    assert [w.index for w in worst] == [1, 2]
    assert (worst[0].element, worst[0].label, worst[0].rotated_label) == ("r90", 0, 1)
    assert (worst[0].logit_deviation, worst[0].margin) == (1, 1)
    assert (worst[1].element, worst[1].label, worst[1].rotated_label) == ("r180", 0, 0)
    assert (worst[1].logit_deviation, worst[1].margin) == (6, 9)
    assert worst[1].counterexample.rotated_logits == (3, 0)
    assert worst[0].counterexample == Counterexample(upright_logits=(1, 0), rotated_logits=(0, 1))
    assert worst_images(orbit, images, limit=1, pictures=False) == worst[:1]


# --- symmetrising -----------------------------------------------------------------------------


def corner(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits that depend on one corner, of sizes whose sum shows the order it was taken in."""
    sizes = np.array([1e20, 1, -1e20, 3, 1e-3], np.float32)
    return sizes[(images[:, 0, 0, :1].astype(np.int64) + np.arange(5)) % 5]


@pytest.mark.parametrize("group", ["C2", "C4", "D4"])
def test_the_average_over_the_orbit_is_invariant_bit_for_bit(
    plain: Classifier, images: NDArray[np.uint8], group: str
) -> None:
    elements = grid_symmetries(group)
    for classify in (plain, corner):
        average = symmetrise(classify, elements)
        assert all(np.array_equal(average(images), average(g(images))) for g in elements)
        assert not np.array_equal(classify(images), classify(elements[1](images)))


def test_an_average_in_the_order_of_the_elements_would_not_be(images: NDArray[np.uint8]) -> None:
    def average(batch: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.mean([corner(g(batch)) for g in C4], axis=0, dtype=np.float64)

    assert not np.array_equal(average(images), average(C4[1](images)))


# --- two at a time ----------------------------------------------------------------------------


def test_the_next_batch_is_made_while_one_is_classified() -> None:
    made: list[int] = []
    ready = threading.Event()

    def batches() -> Iterator[NDArray[np.uint8]]:
        for i in range(3):
            made.append(i)
            if i == 1:
                ready.set()  # which the first batch waits for
            yield np.full((1, 1, 2, 2), i, np.uint8)

    def classify(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert ready.wait(5), "the second batch is not made before the first is answered"
        return batch.reshape(1, 4)[:, :2].astype(np.float32)

    answers = [*BatchedClassifier(classify).each(batches())]
    assert [answer[0, 0] for answer in answers] == [0, 1, 2]
    assert made == [0, 1, 2]


def test_two_are_asked_about_at_once_and_answered_in_their_order() -> None:
    both = threading.Barrier(2)

    def classify(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        if batch[0, 0, 0, 0] < 8:
            both.wait(5)  # no batch alone would get any further
        return batch.reshape(1, 4)[:, :2].astype(np.float32)

    batches = [np.full((1, 1, 2, 2), i, np.uint8) for i in range(9)]
    answers = [answer[0, 0] for answer in BatchedClassifier(classify).each(batches)]
    assert answers == list(range(9))


def test_what_ends_a_batch_ends_the_questions() -> None:
    asked: list[int] = []

    def classify(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        asked.append(int(batch[0, 0, 0, 0]))
        raise KeyError("enough")

    with pytest.raises(KeyError):
        [*BatchedClassifier(classify).each(numbered(100)[i : i + 1] for i in range(100))]
    assert asked in ([0], [0, 1])  # the next one may wait behind it already


@pytest.mark.slow
@given(st.integers(1, 300), st.integers(1, 80))
def test_the_questions_of_an_orbit_are_as_many_as_is_said(count: int, batch_size: int) -> None:
    asked: list[int] = []

    def classify(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        asked.append(len(batch))
        return np.zeros((len(batch), 2), np.float32)

    evaluate_orbit(classify, np.zeros((count, 1, 2, 2), np.uint8), C4, batch_size=batch_size)
    assert sum(asked) == orbit_classifications(count, len(C4), batch_size)
