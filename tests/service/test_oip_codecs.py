"""The protocol's bytes, read and written by NVIDIA's client on the other side."""

import gzip
import json
import math
import time
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from service.engine import Inference, Signature
from service.errors import ServiceError, TooLargeError
from service.protocol.compression import accepted_coding, pack, unpack
from service.protocol.oip import (
    Served,
    header_length,
    read_request,
    write_answer,
)

http = pytest.importorskip("tritonclient.http")

SIGNATURE = Signature(channels=2, size=3, classes=4)
SERVED = Served("turning", "10", ("ant", "bee", "c:t", "dög"))
IMAGE = 18

counts = st.integers(1, 5)
batches = counts.flatmap(lambda n: nps.arrays(np.uint8, (n, 2, 3, 3)))
floats = st.floats(-(2.0**99), 2.0**99, width=32)
results = counts.flatmap(
    lambda n: st.builds(Inference, *[nps.arrays(np.float32, (n, 4), elements=floats)] * 2)
)
outputs = st.permutations(["logits", "probabilities"]).flatmap(
    lambda names: st.lists(
        st.tuples(st.sampled_from(names), st.booleans(), st.integers(0, 6)),
        unique_by=lambda output: output[0],
    )
)


def request(images: Any, asked: Any = (), *, binary: bool = True, **more: Any) -> tuple[bytes, Any]:
    """Let tritonclient write a request; return the body and the length of its JSON."""
    sent = http.InferInput("image", list(images.shape), "UINT8")
    sent.set_data_from_numpy(images, binary_data=binary)
    wanted = [
        http.InferRequestedOutput(name, binary_data=binary, class_count=classes)
        for name, binary, classes in asked
    ]
    return http.InferenceServerClient.generate_request_body([sent], outputs=wanted, **more)


def read(body: bytes, length: int | None, max_images: int = 8) -> Any:
    return read_request(body, length, SIGNATURE.image, max_images)


@settings(deadline=None)
@given(batches, outputs, st.booleans(), st.text(max_size=8))
def test_what_tritonclient_writes_is_read(
    images: Any, asked: Any, binary: bool, request_id: str
) -> None:
    body, length = request(images, asked, binary=binary, request_id=request_id)
    found = read(body, length)
    np.testing.assert_array_equal(found.images, images)
    assert found.images.dtype == np.uint8
    assert found.id == request_id
    everything = [("logits", True, 0), ("probabilities", True, 0)]
    assert [(o.name, o.binary, o.classes) for o in found.outputs] == (asked or everything)


@settings(deadline=None)
@given(results, outputs, st.text(min_size=1, max_size=8))
def test_what_is_answered_tritonclient_reads_bit_for_bit(
    result: Inference, asked: Any, request_id: str
) -> None:
    images = np.zeros((len(result.logits), 2, 3, 3), np.uint8)
    found = read(*request(images, asked, request_id=request_id))
    answer = write_answer(found, result, SERVED)
    read_back = http.InferResult.from_response_body(answer.body, header_length=answer.header_length)
    header = read_back.get_response()
    assert (header["model_name"], header["model_version"]) == ("turning", "10")
    assert header["id"] == request_id
    asked = asked or [("logits", True, 0), ("probabilities", True, 0)]
    assert [output["name"] for output in header["outputs"]] == [name for name, *_ in asked]
    for name, _, classes in asked:
        values = read_back.as_numpy(name)
        due = result._asdict()[name]
        if not classes:
            assert (values.dtype, values.tobytes()) == (np.float32, due.tobytes())
            continue
        assert values.shape == (len(due), min(classes, 4))
        for row, texts in zip(due, values, strict=True):
            ranked = [_ranked(text) for text in texts]
            assert [value for value, *_ in ranked] == sorted(row, reverse=True)[:classes]
            assert all(row[k] == value and SERVED.classes[k] == of for value, k, of in ranked)
            assert len({k for _, k, _ in ranked}) == len(ranked)


def _ranked(text: bytes | str) -> tuple[np.float32, int, str]:
    text = text.decode() if isinstance(text, bytes) else text
    value, index, label = text.split(":", 2)
    return np.float32(value), int(index), label


def test_probabilities_that_tie_are_ranked_by_their_logits() -> None:
    result = Inference(
        np.array([[1, 20, 30, 0]], np.float32), np.array([[0, 0.5, 0.5, 0]], np.float32)
    )
    asked = [("probabilities", True, 4)]
    found = read(*request(np.zeros((1, 2, 3, 3), np.uint8), asked))
    answer = write_answer(found, result, SERVED)
    texts = http.InferResult.from_response_body(
        answer.body, header_length=answer.header_length
    ).as_numpy("probabilities")
    expected = ["0.5:2:c:t", "0.5:1:bee", "0.0:0:ant", "0.0:3:dög"]
    assert [text.decode() for text in texts[0]] == expected


@settings(deadline=None)
@given(batches)
def test_a_body_of_pixels_alone_is_read_without_a_copy(images: Any) -> None:
    body = images.tobytes()
    found = read(body, 0)
    np.testing.assert_array_equal(found.images, images)
    assert np.shares_memory(found.images, np.frombuffer(body, np.uint8))
    assert [(each.name, each.binary) for each in found.outputs] == [
        ("logits", True),
        ("probabilities", True),
    ]


@settings(deadline=None)
@given(batches)
def test_numbers_may_be_nested_as_the_shape_is(images: Any) -> None:
    sent = {"name": "image", "datatype": "UINT8", "shape": images.shape, "data": images.tolist()}
    body = json.dumps({"inputs": [sent]}, indent=2).encode()
    np.testing.assert_array_equal(read(body, None).images, images)


def refused(body: bytes, length: int | None = None) -> ServiceError | None:
    """Read; return the refusal, which has a status of the client's and a sentence."""
    try:
        found = read(body, length)
    except ServiceError as error:
        assert 400 <= error.status < 500
        assert error.sentence.endswith(".")
        return error
    assert found.images.dtype == np.uint8
    assert found.images.shape[1:] == (2, 3, 3)
    assert 1 <= len(found.images) <= 8
    return None


@settings(deadline=None)
@given(batches, st.integers(-30, 30), st.integers(-30, 30))
def test_pixels_are_those_behind_the_json_or_the_request_is_refused(
    images: Any, shift: int, more: int
) -> None:
    """A wrong length, and bytes that are missing or too many, never move an image."""
    body, length = request(images)
    # JSON may end in white space: pixels that look like it belong to it, if the length says so.
    assume(shift <= 0 or body[length : length + shift].strip(b" \t\r\n"))
    body = body + bytes(more) if more >= 0 else body[:more]
    length = max(1, length + shift)
    error = refused(body, length)
    # Otherwise it ends where it ends: one byte more or less in front of the pixels is refused.
    assert (error is None) == (shift == 0 and more == 0)


@settings(deadline=None)
@given(st.binary(max_size=80), st.none() | st.integers(0, 80))
def test_any_bytes_are_read_or_refused(body: bytes, length: int | None) -> None:
    if length is None or length <= len(body):
        error = refused(body, length)
        assert (error is None) == (length == 0 and len(body) > 0 and len(body) % IMAGE == 0)


wild = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
VALID = {
    "id": "1",
    "parameters": {"binary_data_output": True, "timeout": 5},
    "inputs": [
        {
            "name": "image",
            "shape": [1, 2, 3, 3],
            "datatype": "UINT8",
            "parameters": {"binary_data_size": IMAGE},
        }
    ],
    "outputs": [{"name": "logits", "parameters": {"binary_data": True, "classification": 1}}],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, inner in entries for place in places(inner, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@settings(deadline=None)
@given(st.sampled_from(places(VALID)), wild)
def test_any_field_may_be_anything(path: tuple[Any, ...], by: Any) -> None:
    header = json.dumps(replaced(VALID, path, by)).encode()
    refused(header + bytes(IMAGE), len(header))


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, 255, 256, -1, 1.5, True, None, "1", []]), max_size=20))
def test_only_pixels_are_numbers(data: list[Any]) -> None:
    sent = {"name": "image", "shape": [1, 2, 3, 3], "datatype": "UINT8", "data": data}
    error = refused(json.dumps({"inputs": [sent]}).encode())
    pixels = len(data) == IMAGE and all(type(each) is int and 0 <= each < 256 for each in data)
    assert (error is None) == pixels


def sentence(**changes: Any) -> str:
    """Refuse a request whose input has these changes; return the sentence."""
    sent = {"name": "image", "shape": [1, 2, 3, 3], "datatype": "UINT8", "data": [0] * IMAGE}
    sent |= changes
    error = refused(json.dumps({"inputs": [sent]}).encode())
    assert error is not None
    return error.sentence


def test_refusals_say_what_is_accepted() -> None:
    assert "'FP32'; UINT8 is accepted" in sentence(datatype="FP32")
    assert "'picture'; one, 'image'" in sentence(name="picture")
    assert "[1, 3, 3, 2]; [N, 2, 3, 3]" in sentence(shape=[1, 3, 3, 2])
    assert "at most 8" in sentence(shape=[9, 2, 3, 3])
    assert "N of at least 1" in sentence(shape=[0, 2, 3, 3])
    assert "[17] where its shape is [1, 2, 3, 3]; its 18 values" in sentence(data=[0] * 17)
    assert "more values or lists" in sentence(data=[[]] * 1000)
    assert "shared memory" in sentence(parameters={"shared_memory_region": "a"})
    assert "both 'data' and" in sentence(parameters={"binary_data_size": 18})
    assert "18 bytes follow the JSON and no input has" in refused_of(
        replaced(VALID, ("inputs", 0, "parameters"), {})
    )
    assert "'sequence_id'" in refused_of({**VALID, "parameters": {"sequence_id": 1}})
    assert "'other'; each of 'logits', 'probabilities'" in refused_of(
        {**VALID, "outputs": [{"name": "other"}]}
    )
    assert "accepted once" in refused_of({**VALID, "outputs": [{"name": "logits"}] * 2})


def refused_of(document: Any) -> str:
    header = json.dumps(document).encode()
    error = refused(header + bytes(IMAGE), len(header))
    assert error is not None
    return error.sentence


def test_deep_json_is_refused() -> None:
    deep = b'{"inputs":[{"name":"image","other":' + b"[" * 100_000
    assert refused(deep).status == 400
    sent = b'{"inputs":[{"name":"image","shape":[1,2,3,3],"datatype":"UINT8","data":'
    assert refused(sent + b"[" * 100_000 + b"]" * 100_000 + b"}]}") is not None


def test_the_length_of_the_header_is_a_number_within_the_body() -> None:
    assert header_length(None, b"body") is None
    assert [header_length(each, b"body") for each in (b"0", b"4", b"04")] == [0, 4, 4]
    for wrong in (b"5", b"-1", b"+1", b"1.0", b"", b"x", b" 1", b"1_0", b"9" * 5000, b"\xb2"):
        with pytest.raises(ServiceError, match="which has 4"):
            header_length(wrong, b"body")


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_compressed_bodies_are_unpacked_as_others_compress_them(body: bytes, coding: Any) -> None:
    theirs = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    assert unpack(theirs, coding, max_bytes=300) == body
    assert unpack(pack(body, coding), coding.upper(), max_bytes=len(body)) == body
    with pytest.raises(ServiceError, match="goes on after its end"):
        unpack(theirs + b"x", coding, max_bytes=300)
    for cut in (1, len(theirs) - 1):
        with pytest.raises(ServiceError):
            unpack(theirs[:cut], coding, max_bytes=300)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=2, max_size=5))
def test_gzip_files_one_behind_the_other_are_one(bodies: list[bytes]) -> None:
    whole, members = b"".join(bodies), [*map(gzip.compress, bodies)]
    sent = b"".join(members)
    assert unpack(sent, "gzip", max_bytes=len(whole)) == whole == gzip.decompress(sent)
    for wrong, fault in ((sent[:-1], "is cut off"), (sent + b"x", "goes on after its end")):
        with pytest.raises(ServiceError, match=fault):
            unpack(wrong, "gzip", max_bytes=len(whole))
    if whole:
        with pytest.raises(TooLargeError):
            unpack(sent, "gzip", max_bytes=len(whole) - 1)
    with pytest.raises(ServiceError, match="goes on after its end"):
        unpack(b"".join(map(zlib.compress, bodies)), "deflate", max_bytes=len(whole))


def test_a_million_empty_gzip_files_are_refused_at_once() -> None:
    empty, began = gzip.compress(b""), time.process_time()
    with pytest.raises(ServiceError, match="goes on after its end"):
        unpack(empty * 2**20, "gzip", max_bytes=2**25)
    assert time.process_time() - began < 5
    assert unpack(empty * 100, "gzip", max_bytes=0) == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_bursts(coding: Any) -> None:
    bomb = pack(bytes(2**26), coding)
    tracemalloc.start()
    with pytest.raises(TooLargeError, match="at most 1000 bytes"):
        unpack(bomb, coding, max_bytes=1000)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert len(unpack(bomb, coding, max_bytes=2**26)) == 2**26


def test_other_codings_are_refused() -> None:
    assert unpack(b"x", "identity", 1) == b"x"
    for coding in ("br", "zstd", "gzip, deflate"):
        with pytest.raises(ServiceError, match="gzip and deflate"):
            unpack(b"x", coding, 1)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.2, deflate;q=0.8", "deflate"),
        ("GZIP; q=1", "gzip"),
        ("gzip;q=much", None),
    ],
)
def test_the_coding_of_the_answer_is_the_clients_choice(header: str, coding: Any) -> None:
    assert accepted_coding(header) == coding


@pytest.mark.parametrize(
    "asked",
    [
        {"inputs": [{"name": "image", "shape": [1] * 100_000, "datatype": "UINT8"}]},
        {"inputs": [{"name": "image", "shape": [1], "datatype": "UINT8"}] * 1000},
        {"inputs": [], "outputs": [{"name": "logits"}] * 1000},
    ],
)
def test_values_are_counted_before_they_are_built(asked: Any) -> None:
    body = json.dumps(asked).encode()
    tracemalloc.start()
    try:
        with pytest.raises(ServiceError, match="too many values") as refused:
            read_request(body, None, SIGNATURE.image, 8)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413


def test_what_stands_beside_pixels_is_counted_before_it_is_built() -> None:
    """A model of large images takes long JSON; what is not known in it was built all the same."""
    image = (3, 224, 224)
    sent = {"name": "image", "shape": [1, *image], "datatype": "UINT8", "data": [0]}
    body = json.dumps({"inputs": [sent], "mine": 100_000 * [[]]}).encode()
    with pytest.raises(ServiceError, match="too much beside its pixels") as refused:
        read_request(body, None, image, 8)
    assert refused.value.status == 413
    sent["data"] = math.prod(image) * [7]
    body = json.dumps({"inputs": [sent], "id": None, "mine": 1000 * [[]]}).encode()
    assert (read_request(body, None, image, 8).images == 7).all()


@pytest.mark.parametrize("spoilt", ["", "\\ud800"])
def test_lists_in_lists_are_counted_before_they_are_built(spoilt: str) -> None:
    """They need no comma between them, and 30 MiB of them took 1.6 GB."""
    sent = {"name": "image", "shape": [1, *SIGNATURE.image], "datatype": "UINT8"}
    deep = ",".join(["[" * 250 + "]" * 250] * 1000)
    body = f'{{"mine": [{deep}], "other": "{spoilt}", "inputs": [{json.dumps(sent)}]}}'.encode()
    tracemalloc.start()
    try:
        with pytest.raises(ServiceError) as refused:
            read_request(body, None, SIGNATURE.image, 8)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert refused.value.status == (400 if spoilt else 413)


def test_long_names_of_requests_are_not_kept() -> None:
    """What is written for one is remembered for the next of its name, within bounds of memory."""
    result = Inference(*np.zeros((2, 1, 4), np.float32))
    tracemalloc.start()
    try:
        for number in range(100):
            asked = read(
                *request(np.zeros((1, 2, 3, 3), np.uint8), request_id=f"{number}" * 20_000)
            )
            assert f"{number}" * 20_000 in write_answer(asked, result, SERVED).body.decode(
                "latin-1"
            )
            del asked
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2**19
