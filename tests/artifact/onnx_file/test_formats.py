"""A file of another format, or not whole, is refused in a sentence."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifact.onnx_file import refuse_other_formats
from tests.artifact.onnx_file.files import SHIPPED, SMALL, check, sentence, shipped, small


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_files_are_accepted(name: str) -> None:
    assert check(shipped(name)).SerializeToString() == shipped(name)


# --- other formats ----------------------------------------------------------------------------


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.onnx", data)
    return file.getvalue()


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("model.onnx")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def saved(write: Callable[[io.BytesIO, Any], None]) -> bytes:
    file = io.BytesIO()
    write(file, np.ones(3))
    return file.getvalue()


OTHERS = {
    "empty;": b"",
    "a zip archive": zipped(SMALL.encode()),
    "an empty zip": zipped(b"")[-22:],
    "a gzip archive": gzip.compress(SMALL.encode()),
    "a tar archive": tarred(SMALL.encode()),
    "a pickle": pickle.dumps({"state": [1.0]}),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "an array of numpy": saved(np.save),
    "such as PyTorch, Keras and numpy": saved(np.savez),
    "HTML": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "HTML or XML": b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a git-lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    ),
    "a safetensors file": (40).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[1]}}       ',
    "TensorFlow Lite": b"\x1c\x00\x00\x00TFL3" + bytes(32),
    "onnxruntime's own format": b"\x1c\x00\x00\x00ORTM" + bytes(32),
    "no ONNX file": b"weights: 1, 2, 3",
    "no graph": onnx.ModelProto(ir_version=9).SerializeToString(),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_kind_is_called_by_its_name(kind: str) -> None:
    assert kind in sentence(OTHERS[kind])


def test_a_safetensors_file_as_its_package_writes_it() -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    assert "a safetensors file" in sentence(safetensors.save({"w": np.ones(3, np.float32)}))


def test_a_network_as_torch_saves_it() -> None:
    torch = pytest.importorskip("torch")
    for new, kind in ((True, "a zip archive"), (False, "a pickle")):
        file = io.BytesIO()
        torch.save({"w": torch.ones(2)}, file, _use_new_zipfile_serialization=new)
        assert kind in sentence(file.getvalue())


def test_a_file_that_is_onnx_to_us_and_another_format_to_the_runtime() -> None:
    """onnxruntime looks at the bytes 4 to 8 first, and here they are in the producer's name."""
    data = b"\x12\x0a" + b"xxORTMaaaa" + small().SerializeToString()
    assert onnx.load_model_from_string(data).producer_name == "xxORTMaaaa"
    onnx.checker.check_model(onnx.load_model_from_string(data))
    with pytest.raises(Exception, match="ORT model verification failed"):
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert "onnxruntime's own format" in sentence(data)


def test_formats_are_told_without_parsing() -> None:
    for kind in ("a zip archive", "HTML", "a git-lfs pointer"):
        with pytest.raises(ValueError, match=kind):
            refuse_other_formats(OTHERS[kind])
    refuse_other_formats(shipped("rotmnist-c4"))


# --- files that are cut off or changed --------------------------------------------------------


@cache
def structure(name: str) -> tuple[int, ...]:
    """Where a shipped file is not a weight: every kind of field has a few of these bytes."""
    data, places, start = shipped(name), list[int](), 0
    for tensor in onnx.load_model_from_string(data).graph.initializer:
        if len(tensor.raw_data) > 64:
            found = data.index(tensor.raw_data, start)
            places += range(start, found)
            start = found + len(tensor.raw_data)
    return (*places, *range(start, len(data)))


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_truncated_file_is_refused_or_is_whole_without_its_end(data: st.DataObject) -> None:
    """What follows the operators' version are metadata alone; the digest covers these."""
    name = data.draw(st.sampled_from(SHIPPED))
    whole = shipped(name)
    end = data.draw(st.one_of(st.sampled_from(structure(name)), st.integers(0, len(whole) - 1)))
    try:
        found = check(whole[:end])
    except ValueError:
        assert "\n" not in sentence(whole[:end])
    else:
        assert found.graph == onnx.load_model_from_string(whole).graph


def test_a_cut_in_the_weights_is_called_a_cut() -> None:
    whole = shipped("rotmnist-cnn")
    for part in (0.1, 0.5, 0.9):
        assert "The file is cut off" in sentence(whole[: int(part * len(whole))])


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_flipped_bits_never_crash(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(SHIPPED))
    changed = bytearray(shipped(name))
    places = st.one_of(st.sampled_from(structure(name)), st.integers(0, len(changed) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        changed[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        check(bytes(changed))
    except ValueError:
        sentence(bytes(changed))


def test_a_name_that_is_no_text_is_refused() -> None:
    changed = small().SerializeToString().replace(b"Mul", b"M\xffl")
    assert "b'M\\xffl' in the field op_type" in sentence(changed)
