import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from tests.digests import sha256_file

shapes = st.tuples(*[st.integers(1, 4)] * 4)


@given(hnp.arrays(np.uint8, shapes), st.booleans())
def test_a_set_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, images: np.ndarray, labelled: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "set.npz"
    original = AuditSet(images, np.arange(len(images)) if labelled else None)
    save_audit_set(path, original)
    loaded = load_audit_set(path)
    assert np.array_equal(loaded.images, images)
    assert (loaded.labels is not None) == labelled
    if labelled:
        assert np.array_equal(loaded.labels, original.labels)
    assert loaded.to_bytes() == original.to_bytes()
    assert loaded.sha256() == sha256_file(path)


def test_the_bytes_of_a_set_are_the_same_on_every_machine() -> None:
    audit_set = AuditSet(np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4), np.array([3]))
    expected = "6fa0efb332215e639ae05b83d85e5fba7b1d6152eff5a18cd103c88f00d81e6a"
    assert audit_set.sha256() == expected


def test_another_layout_in_memory_gives_the_same_bytes() -> None:
    images = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    assert AuditSet(np.asfortranarray(images)).to_bytes() == AuditSet(images).to_bytes()


def test_labels_belong_to_the_digest() -> None:
    images = np.zeros((2, 1, 4, 4), np.uint8)
    digests = {AuditSet(images, labels).sha256() for labels in (None, np.array([0, 1]))}
    assert len(digests) == 2


def test_labels_of_another_integer_type_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.zeros((2, 1, 4, 4), np.uint8), labels=np.uint8([7, 8]))
    labels = load_audit_set(tmp_path / "set.npz").labels
    assert labels is not None
    assert labels.dtype == np.int64
    assert labels.tolist() == [7, 8]


IMAGES = np.zeros((2, 1, 4, 4), np.uint8)


def test_an_array_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    save_audit_set(path, AuditSet(IMAGES))
    content = io.BytesIO()
    np.save(content, IMAGES + 1)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("images.npy", content.getvalue())
    with pytest.raises(ValueError, match="it has 'images' twice"):
        load_audit_set(path)


def test_an_array_that_numpy_reads_from_another_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    save_audit_set(path, AuditSet(IMAGES))
    content = io.BytesIO()
    np.save(content, IMAGES + 1)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images", content.getvalue())
    with np.load(path) as found:
        assert (found["images"] == 1).all()
    with pytest.raises(ValueError, match="it has 'images' twice"):
        load_audit_set(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": IMAGES},
        {"images": IMAGES.astype(np.float32)},
        {"images": IMAGES[0]},
        {"images": IMAGES[:0]},
        {"images": IMAGES, "labels": np.zeros(3, np.int64)},
        {"images": IMAGES, "labels": np.zeros(2)},
        {"images": np.array([None])},
    ],
    ids=[
        "no images",
        "float",
        "one axis less",
        "none",
        "labels of others",
        "float labels",
        "pickle",
    ],
)
def test_a_file_with_other_contents_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(ValueError, match=r"set.npz is not an audit set .* accepted"):
        load_audit_set(tmp_path / "set.npz")


@pytest.mark.parametrize("contents", [None, b"", b"not a set", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_set_is_refused(tmp_path: Path, contents: bytes | None) -> None:
    if contents is not None:
        (tmp_path / "set.npz").write_bytes(contents)
    with pytest.raises(ValueError, match="is not an audit set"):
        load_audit_set(tmp_path / "set.npz")


def test_a_single_array_is_not_a_set(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", IMAGES)
    with pytest.raises(ValueError, match="is not an audit set"):
        load_audit_set(tmp_path / "set.npy")


def test_each_image_has_the_digest_of_the_file_that_numpy_saves(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    digests = AuditSet(images).image_sha256()
    for image, digest in zip(images, digests, strict=True):
        np.save(tmp_path / "image.npy", image)
        assert sha256_file(tmp_path / "image.npy") == digest
    assert AuditSet(images.reshape(5, 3, 6, 4)).image_sha256()[0] != digests[0]


def header(shape: str, descr: str = "|u1") -> bytes:
    """What stands before an array in a file of numpy, whatever it promises."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(images: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as opened:
        opened.writestr("images.npy", images)
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "compression"),
    [
        (header("(1048576, 1, 1024, 1024)"), zipfile.ZIP_STORED),
        (header("(1099511627776, 1099511627776, 8, 8)"), zipfile.ZIP_STORED),
        (header("(-1, 1, 8, 8)") + bytes(64), zipfile.ZIP_STORED),
        (header("(1, 1, 8, 8)") + bytes(63), zipfile.ZIP_STORED),
        (header("(1, 1, 8, 8)") + bytes(2**28), zipfile.ZIP_DEFLATED),
        (header("(268435456, 1, 8, 8)") + bytes(2**20), zipfile.ZIP_DEFLATED),
        (header("(1, 1, 8, 8)", "|O") + bytes(512), zipfile.ZIP_STORED),
        (b"\x93NUMPY\x03\x00\x00\x00\x00\x00", zipfile.ZIP_STORED),
        (b"\x93NUMPY\x01\x00\x00\x20" + b"(" * 2**13, zipfile.ZIP_STORED),
        (b"", zipfile.ZIP_STORED),
    ],
    ids=[
        "a terabyte",
        "beyond 2^64",
        "negative",
        "too few",
        "a bomb",
        "a large bomb",
        "objects",
        "version 3",
        "nested",
        "empty",
    ],
)
def test_a_set_that_promises_what_is_not_there_takes_no_memory(
    tmp_path: Path, images: bytes, compression: int
) -> None:
    (tmp_path / "set.npz").write_bytes(archive(images, compression))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"set.npz is not an audit set \([^\n]*accepted\."):
            load_audit_set(tmp_path / "set.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_an_encrypted_set_is_refused(tmp_path: Path) -> None:
    data = bytearray(AuditSet(IMAGES).to_bytes())
    data[6] |= 1  # the flags of a file, where it lies and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "set.npz").write_bytes(data)
    with pytest.raises(ValueError, match=r"is not an audit set .*encrypted"):
        load_audit_set(tmp_path / "set.npz")


def test_a_damaged_set_is_refused_or_the_same(tmp_path: Path) -> None:
    whole = AuditSet(IMAGES).to_bytes()
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] ^= 0x41
        (tmp_path / "set.npz").write_bytes(data)
        try:
            found = load_audit_set(tmp_path / "set.npz").images
        except ValueError as error:
            assert "is not an audit set" in str(error), place
        else:
            assert np.array_equal(found, IMAGES), place


def test_any_order_of_bytes_and_axes_that_numpy_saves_is_read(tmp_path: Path) -> None:
    images = np.asfortranarray(np.arange(3 * 1 * 4 * 5, dtype=np.uint8).reshape(3, 1, 4, 5))
    np.savez_compressed(tmp_path / "set.npz", images=images, labels=np.array([3, 2, 1], ">i4"))
    found = load_audit_set(tmp_path / "set.npz")
    assert np.array_equal(found.images, images)
    assert found.labels is not None and found.labels.tolist() == [3, 2, 1]
