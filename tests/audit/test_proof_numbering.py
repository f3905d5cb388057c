"""The pieces that a proof rests on, each against the definition that it stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from audit.proof.values import numbering
from audit.proof.values.congruence import Half, adopt
from audit.proof.values.matching import Bank, match
from audit.proof.values.numbering import Numbering, number_rows
from audit.proof.values.windows import Window, are_symmetric
from imaging import GridSymmetry

ROWS = arrays(
    np.int64,
    array_shapes(min_dims=2, max_dims=2, max_side=40),
    elements=st.one_of(st.integers(0, 2), st.integers(-(2**63), 2**63 - 1)),
)
SYMMETRIES = [GridSymmetry(m, k) for m in (False, True) for k in range(4)]


def equal(numbers: np.ndarray, rows: np.ndarray) -> bool:
    same_numbers = numbers[:, None] == numbers[None]
    same_rows = (rows[:, None] == rows[None]).all(axis=-1)
    return bool((same_numbers == same_rows).all())


@given(ROWS)
def test_rows_share_a_number_exactly_if_they_are_equal(rows: np.ndarray) -> None:
    assert equal(number_rows(rows), rows)


def test_a_collision_of_hashes_equates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "_hash", lambda rows: np.zeros(len(rows), np.uint64))
    rows = np.random.default_rng(0).integers(0, 3, (50, 3))
    assert equal(number_rows(rows), rows)


def test_functions_of_equal_numbers_are_equal_and_of_others_are_not() -> None:
    """Whatever the order of the calls, and however many blocks the numbers come from."""
    names = Numbering()
    a, b = names.fresh(6) + np.arange(6), names.fresh(4) + np.arange(4)
    both = np.concatenate([a, b])
    applied = names.apply("f", a)
    assert np.array_equal(names.apply("f", both[::-1]), names.apply("f", both)[::-1])
    assert np.array_equal(names.apply("f", both)[:6], applied)
    assert len({*both, *names.apply("f", both), *names.apply("g", both)}) == 30
    parameters = names.constants(np.array([1.5, 2.5, 1.5, 2.5, 0, 0], np.float32))
    for numbers in (a[[0, 0, 1, 1, 2, 2]], both[[0, 0, 9, 9, 2, 2]]):
        pairs = np.stack([numbers, parameters], axis=1)
        assert equal(names.apply("h", numbers, parameters), pairs)


def test_numbers_stay_within_bounds_however_many_parameters_there_are() -> None:
    names = Numbering()
    numbers = names.fresh(2**14) + np.arange(2**14)
    parameters = names.constants(np.arange(2**14, dtype=np.float32))
    for depth in range(12):
        numbers = names.apply(("f", depth), numbers, parameters)
        assert len(np.unique(numbers)) == 2**14
    assert 0 < numbers.max() < 2**62


def test_constants_are_told_apart_by_type_and_bits() -> None:
    names = Numbering()
    floats = names.constants(np.array([0.0, -0.0, 1.0, np.nan, np.nan], np.float32))
    assert len(set(floats.tolist())) == 4
    assert names.constants(np.array([1.0], np.float64)) not in floats
    assert names.constants(np.array(1.0, np.float32)) == floats[2]


def test_a_set_forgets_how_often_and_a_multiset_does_not() -> None:
    names = Numbering()
    rows = np.array([[4, 4, 7], [7, 4, 7], [7, numbering.PADDING, 4], [4, 4, 4]])
    assert len(set(names.sets(rows)[:3])) == 1
    assert names.sets(rows)[3] not in names.sets(rows)[:3]
    assert len(set(names.multisets(rows))) == 4
    assert len(set(names.multisets(np.array([[4, 7, 4], [7, 4, 4]])))) == 1


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 1000]))
def test_renaming_keeps_equal_numbers_equal_and_others_apart(seed: int, spread: int) -> None:
    random = np.random.default_rng(seed)
    here, rotated = random.integers(0, 8, (2, 3, 4)) * spread
    names = random.permutation(10**6)[: here.max() // spread + 1] + 10**6
    congruent = names[here // spread]
    first, second = adopt(
        [Half((congruent,), 0, reordered=False, unread=False), None], [np.stack([here, rotated])]
    )[0]
    assert np.array_equal(first, congruent)
    known = np.isin(rotated, here)
    renamed = names[np.minimum(rotated // spread, len(names) - 1)]
    assert np.array_equal(second, np.where(known, renamed, rotated))


# --- windows ----------------------------------------------------------------------------------

SIDES = st.builds(
    Window,
    size=st.integers(1, 8),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    before=st.integers(0, 3),
    count=st.integers(1, 5),
)


@given(SIDES)
@settings(max_examples=150)
def test_windows_are_reversible_exactly_if_positions_are_mapped_onto_positions(
    window: Window,
) -> None:
    starts = np.arange(window.count)[:, None] * window.stride - window.before
    positions = starts + np.arange(window.kernel) * window.dilation
    mirrored = window.size - 1 - positions[::-1, ::-1]
    assert window.reversible == np.array_equal(mirrored, positions)


@given(SIDES, SIDES, st.sampled_from(SYMMETRIES))
@settings(max_examples=150)
def test_windows_of_a_plane_are_symmetric_only_if_gathering_commutes_with_the_rotation(
    rows: Window, columns: Window, symmetry: GridSymmetry
) -> None:
    if not are_symmetric([rows, columns], symmetry):
        return
    plane = np.random.default_rng(0).permutation(rows.size * columns.size) + 1
    plane = plane.reshape(rows.size, columns.size)

    def gather(plane: np.ndarray) -> np.ndarray:
        padded = np.pad(plane, ((0, 1), (0, 1)))
        return padded[rows.places()[:, :, None, None], columns.places()].transpose(0, 2, 1, 3)

    windows = gather(plane).transpose(2, 3, 0, 1)
    # Each window is rotated in itself, and takes the place of another.
    rotated = symmetry(symmetry(windows).transpose(2, 3, 0, 1))
    assert np.array_equal(gather(symmetry(plane)), rotated)


# --- filters ----------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_filters_match_whatever_the_order_of_channels_that_hold_the_same(seed: int) -> None:
    """Channels of equal number may change places tap by tap: the sum stays what it is."""
    random = np.random.default_rng(seed)
    channels = random.integers(0, 3, (1, 5))
    taps = random.integers(-2, 3, (1, 4, 5, 2)).astype(np.float64)
    extras = random.integers(0, 2, (1, 4, 1)).astype(np.float64)
    order = random.permutation(4)
    moved, numbers = taps[:, order].copy(), channels.copy()
    for tap in range(2):
        for number in range(3):
            places = np.flatnonzero(channels[0] == number)
            moved[..., places, tap] = moved[..., random.permutation(places), tap]
    shuffle = random.permutation(5)
    rotated = Bank(moved[:, :, shuffle], numbers[:, shuffle], extras[:, order])
    found = match(Bank(taps, channels, extras), rotated, 0.0, explaining=True)
    assert np.array_equal(found.numbers[1], found.numbers[0, order])
    assert found.mismatch is None
    assert found.unmatched is None
    values = random.integers(1, 1000, 3)[channels[0]]
    sums = (taps[0] * values[:, None]).sum(axis=1)
    for i, j in np.argwhere(found.numbers[0][:, None] == found.numbers[0]):
        assert np.array_equal(sums[i], sums[j])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1e-9, 1e-6, 1e-3]))
def test_a_filter_that_is_off_is_found_by_its_distance(seed: int, off: float) -> None:
    random = np.random.default_rng(seed)
    taps, extras = random.standard_normal((1, 30, 4, 9)), random.standard_normal((1, 30, 1))
    channels = np.arange(4)[None]
    rotated = taps[:, ::-1].copy()
    rotated[0, 3, 1, 2] += off * np.abs(taps).max()
    found = match(
        Bank(taps, channels, extras),
        Bank(rotated, channels, extras[:, ::-1]),
        1e-5,
        explaining=True,
    )
    if off <= 1e-5:
        assert np.array_equal(found.numbers[1], found.numbers[0, ::-1])
        assert (found.mismatch is None) == (off == 0)
    if 0 < off <= 1e-5:
        assert found.mismatch is not None
        assert found.mismatch.relative == pytest.approx(off, rel=1e-3)
        assert found.mismatch.factor == pytest.approx(off * np.abs(taps).max(), rel=1e-3)
    if off > 1e-5:
        assert found.unmatched == (3, pytest.approx(off, rel=1e-3))
        assert found.numbers[1, 3] not in found.numbers[0]
