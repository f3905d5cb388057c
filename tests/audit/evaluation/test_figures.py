"""Every figure of an evaluation, against what a loop over images finds."""

from collections import Counter
from math import exp, isclose, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from audit import clopper_pearson
from audit.evaluation.figures import evaluation_figures, roc_auc
from audit.evaluation.probabilities import probabilities


@st.composite
def answered(draw, most=6):
    """Logits, with ties, and what the images show."""
    n, k = draw(st.integers(1, 30)), draw(st.integers(2, most))
    steps = hnp.arrays(np.int64, (n, k), elements=st.integers(-8, 8))
    logits = draw(steps).astype(np.float32) / 2
    return logits, draw(hnp.arrays(np.int64, n, elements=st.integers(0, k - 1)))


def softmax(row):
    powers = [exp(float(value) - max(map(float, row))) for value in row]
    return [power / sum(powers) for power in powers]


def figures_of(logits, expected, units=None):
    return evaluation_figures(probabilities(logits), expected, 0.95, units)


@given(answered())
def test_counts_are_those_of_a_loop(case):
    logits, expected = case
    figures = figures_of(logits, expected)
    labels = [row.tolist().index(max(row)) for row in logits]
    pairs = Counter(zip(expected.tolist(), labels, strict=True))
    assert {(c.expected, c.answered): c.images for c in figures.confusion} == pairs
    right = sum(label == due for label, due in zip(labels, expected, strict=True))
    assert (figures.accuracy.count, figures.accuracy.total) == (right, len(labels))
    assert figures.accuracy.rate == right / len(labels)
    assert figures.accuracy.interval == clopper_pearson(right, len(labels), 0.95)
    recalls, scores = [], []
    for k, found in enumerate(figures.classes):
        shown, given_, both = (
            sum(expected == k),
            labels.count(k),
            pairs[k, k],
        )
        assert (found.label, found.shown, found.answered, found.right) == (k, shown, given_, both)
        assert (found.recall is None) == (shown == 0)
        assert (found.precision is None) == (given_ == 0)
        if found.recall:
            assert found.recall.rate == both / shown
            assert found.recall.interval == clopper_pearson(both, int(shown), 0.95)
            recalls.append(both / shown)
        if found.precision:
            assert found.precision.rate == both / given_
            assert found.precision.interval == clopper_pearson(both, given_, 0.95)
        if found.recall and found.precision and both:
            p, r = found.precision.rate, found.recall.rate
            assert isclose(found.f1, 2 * p * r / (p + r))
        assert (found.f1 is None) == (shown + given_ == 0)
        if found.f1 is not None:
            scores.append(found.f1)
    assert isclose(figures.balanced_accuracy, sum(recalls) / len(recalls))
    assert isclose(figures.macro_f1, sum(scores) / len(scores))


@given(answered())
def test_top_k_is_a_place_in_a_sorted_list(case):
    logits, expected = case
    found = {top.k: top.rate.count for top in figures_of(logits, expected).top_k}
    assert set(found) == {k for k in (2, 3, 5) if k < logits.shape[1]}
    for k, count in found.items():
        best = [sorted(range(len(row)), key=lambda i, row=row: (-row[i], i))[:k] for row in logits]
        assert count == sum(due in top for due, top in zip(expected, best, strict=True))


@given(answered())
def test_calibration_is_that_of_a_loop(case):
    logits, expected = case
    found = figures_of(logits, expected).calibration
    rows = [softmax(row) for row in logits]
    n = len(rows)
    assert isclose(found.mean_probability, sum(map(max, rows)) / n)
    brier = sum(
        sum((p - (k == due)) ** 2 for k, p in enumerate(row))
        for row, due in zip(rows, expected, strict=True)
    )
    assert isclose(found.brier_score, brier / n, abs_tol=1e-12)
    likelihood = -sum(log(row[due]) for row, due in zip(rows, expected, strict=True)) / n
    assert isclose(found.negative_log_likelihood, likelihood, abs_tol=1e-12)
    gathered = {}
    values = probabilities(logits).values
    for row, due, logit in zip(values, expected, logits, strict=True):
        label = logit.tolist().index(max(logit))
        (place,) = [i for i in range(15) if i / 15 < row[label] <= (i + 1) / 15]
        gathered.setdefault(place, []).append((row[label], label == due))
    assert [(b.low, b.high, b.right.total) for b in found.bins] == [
        (i / 15, (i + 1) / 15, len(gathered[i])) for i in sorted(gathered)
    ]
    distance = sum(
        abs(sum(ok for _, ok in each) - sum(p for p, _ in each)) for each in gathered.values()
    )
    assert isclose(found.expected_error, distance / n, abs_tol=1e-12)


@given(answered(most=2))
def test_the_area_under_the_curve_counts_pairs(case):
    logits, expected = case
    found = roc_auc(probabilities(logits).logs, expected)
    scores = (logits[:, 1] - logits[:, 0]).tolist()
    ones = [s for s, due in zip(scores, expected, strict=True) if due]
    zeros = [s for s, due in zip(scores, expected, strict=True) if not due]
    if not ones or not zeros:
        assert found is None
        return
    pairs = sum((a > b) + (a == b) / 2 for a in ones for b in zeros)
    assert isclose(found, pairs / (len(ones) * len(zeros)))


def test_the_area_tells_apart_what_probabilities_do_not():
    logits = np.array([[0, 80], [0, 90], [0, 70], [0, 60]], np.float32)
    assert len(set(probabilities(logits).values[:, 1])) == 1
    assert roc_auc(probabilities(logits).logs, np.array([1, 1, 0, 0])) == 1.0


def test_there_is_no_area_of_three_classes():
    logits = np.eye(3, dtype=np.float32)
    assert figures_of(logits, np.arange(3)).roc_auc is None


def test_groups_make_intervals_wider_and_move_no_figure():
    rng = np.random.default_rng(0)
    logits = np.repeat(rng.normal(size=(40, 3)), 10, axis=0).astype(np.float32)
    expected = np.repeat(rng.integers(0, 3, 40), 10)
    single, grouped = (
        figures_of(logits, expected, units) for units in (None, np.arange(400) // 10)
    )
    assert grouped.accuracy.rate == single.accuracy.rate
    assert grouped.macro_f1 == single.macro_f1
    assert grouped.accuracy.interval.low < single.accuracy.interval.low
    assert grouped.classes[0].recall.interval.low < single.classes[0].recall.interval.low


class TestProbabilities:
    def test_logits_are_normalised(self):
        found = probabilities(np.array([[1, 2, 3], [0, 0, 5]], np.float32))
        assert not found.normalised
        assert np.allclose(found.values.sum(axis=1), 1, atol=1e-12)
        assert np.allclose(found.values[0], softmax([1, 2, 3]))

    @pytest.mark.parametrize("kind", [np.float32, np.float16])
    def test_probabilities_stay_what_they_are(self, kind):
        rng = np.random.default_rng(0)
        given_ = rng.dirichlet(np.ones(1000), 20).astype(kind).astype(np.float32)
        found = probabilities(given_)
        assert found.normalised
        assert np.abs(found.values - given_).max() < 1e-4
        assert np.array_equal(found.labels, given_.argmax(axis=1))

    @pytest.mark.parametrize(
        "logits", [[[0.25, 0.75]], [[0.2, 0.8], [0.3, 0.8]], [[-0.5, 1.5], [0.5, 0.5]]]
    )
    def test_what_does_not_add_up_is_logits(self, logits):
        assert not probabilities(np.array(logits, np.float32)).normalised

    def test_of_equal_answers_the_first_counts(self):
        found = probabilities(np.zeros((2, 1000), np.float32))
        assert found.labels.tolist() == [0, 0]
        assert found.ranks[0].tolist() == [*range(1, 1001)]

    def test_a_probability_of_nothing_has_no_likelihood(self):
        found = probabilities(np.array([[1, 0], [0, 1]], np.float32))
        figures = evaluation_figures(found, np.array([1, 1]), 0.95)
        assert figures.calibration.negative_log_likelihood is None
        assert figures.calibration.brier_score == 1.0

    def test_far_logits_have_a_likelihood(self):
        found = probabilities(np.array([[1000, 0], [0, 1000]], np.float32))
        figures = evaluation_figures(found, np.array([1, 1]), 0.95)
        assert figures.calibration.negative_log_likelihood == 500.0


# --- intervals of what is no part of the images -------------------------------------------------


def drawn(random, count, right=0.8, groups=None):
    """Answers of a model of two classes that is right on a part of the images of either."""
    expected = random.integers(0, 2, count)
    hit = random.random(groups or count) < right
    hit = hit[random.integers(0, groups, count)] if groups else hit
    scores = (
        np.where(expected == 1, 1.0, -1.0) * np.where(hit, 1, -1) * random.uniform(0.1, 3, count)
    )
    return np.stack([np.zeros(count), scores], axis=1).astype(np.float32), expected


def test_the_interval_of_f1_is_that_of_jaccard_s_index() -> None:
    logits, expected = drawn(np.random.default_rng(0), 90)
    labels = logits.argmax(axis=1)
    for k, found in enumerate(figures_of(logits, expected).classes):
        both = int(((labels == k) & (expected == k)).sum())
        either = int(((labels == k) | (expected == k)).sum())
        exact = clopper_pearson(both, either, 0.95)
        ends = (found.f1_interval.low, found.f1_interval.high)
        assert ends == (2 * exact.low / (1 + exact.low), 2 * exact.high / (1 + exact.high))
        assert ends[0] < found.f1 < ends[1]


def test_intervals_of_f1_hold_with_their_confidence() -> None:
    """Of a class of half of all images, of which either part of 0.8 is right: F1 is 0.8."""
    random, missed, tries = np.random.default_rng(1), 0, 1000
    for _ in range(tries):
        both, either = random.binomial(60, 0.4), 60
        wrong = random.binomial(either - both, 0.5)
        index = clopper_pearson(both, both + wrong, 0.95)
        truth = 0.4 / (0.4 + 0.6 * 0.5)
        missed += not index.low <= truth <= index.high
    assert missed / tries <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / tries)


@pytest.mark.slow
def test_bootstraps_hold_nearly_with_their_confidence() -> None:
    random, tries = np.random.default_rng(2), 60
    missed = Counter()  # all three figures are 0.8 of all images
    for _ in range(tries):
        found = figures_of(*drawn(random, 150))
        for name in ("macro_f1", "balanced_accuracy", "roc_auc"):
            interval = getattr(found, f"{name}_interval")
            missed[name] += not interval.low <= 0.8 <= interval.high
            assert interval.low < getattr(found, name) < interval.high
    assert max(missed.values()) / tries <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / tries)


def test_where_no_image_is_wrong_a_bootstrap_says_nothing() -> None:
    logits, expected = drawn(np.random.default_rng(4), 80, right=1.0)
    found = figures_of(logits, expected)
    assert (found.macro_f1, found.balanced_accuracy, found.roc_auc) == (1.0, 1.0, 1.0)
    assert found.macro_f1_interval is found.balanced_accuracy_interval is None
    assert found.roc_auc_interval is None
    assert all(each.f1_interval.low < 1 for each in found.classes)


def test_a_bootstrap_says_nothing_of_more_than_its_draws() -> None:
    """Half of 0.01 % of 1,999 draws is none of them, and the last was taken for an end."""
    logits, expected = drawn(np.random.default_rng(3), 80)
    known, unknown = (
        evaluation_figures(probabilities(logits), expected, each) for each in (0.999, 0.9999)
    )
    assert known.macro_f1_interval is not None
    assert unknown.macro_f1_interval is None
    assert unknown.accuracy.interval.low < known.accuracy.interval.low


def test_groups_are_drawn_whole() -> None:
    """Four photographs of each part tell no more than one of them."""
    logits, expected = drawn(np.random.default_rng(5), 60)
    single = figures_of(logits, expected)
    parts = np.repeat(np.arange(60), 4)
    grouped = figures_of(np.repeat(logits, 4, axis=0), np.repeat(expected, 4), parts)
    alone = figures_of(np.repeat(logits, 4, axis=0), np.repeat(expected, 4))
    for name in ("macro_f1_interval", "balanced_accuracy_interval", "roc_auc_interval"):
        one, same, narrow = (getattr(each, name) for each in (single, grouped, alone))
        assert (one.low, one.high) == pytest.approx((same.low, same.high))
        assert narrow.high - narrow.low < 0.7 * (one.high - one.low)
    assert grouped.classes[0].f1_interval.low < alone.classes[0].f1_interval.low


@pytest.mark.slow
def test_many_images_are_drawn_in_lots_that_tell_the_same_spread() -> None:
    logits, expected = drawn(np.random.default_rng(7), 20_000)
    found = figures_of(logits, expected)
    spread = np.sqrt(0.8 * 0.2 / 20_000)
    width = found.balanced_accuracy_interval.high - found.balanced_accuracy_interval.low
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_a_bootstrap_s_figures_are_those_of_the_images_drawn() -> None:
    """Drawing every image once gives the figures themselves."""
    logits, expected = drawn(np.random.default_rng(6), 50)
    labels = logits.argmax(axis=1)
    seen = {}

    def keep(figures, units, confidence):
        seen[len(seen)] = figures(np.ones((1, units), np.int64))[0]
        return [None] * len(seen[len(seen) - 1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.evaluation.intervals.bootstrap_intervals", keep)
        found = figures_of(logits, expected)
    assert labels.any()
    assert seen[0] == pytest.approx([found.balanced_accuracy, found.macro_f1])
    assert seen[1] == pytest.approx([found.roc_auc])
