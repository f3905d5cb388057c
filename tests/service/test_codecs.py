"""Codecs give back what was put in, in its order, and refuse everything else in one sentence."""

import base64
import io
import json
import tracemalloc

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.errors import ServiceError
from service.protocol import Body, read_parts
from service.protocol.media import IMAGE_TYPES

file_lists = st.lists(st.binary(max_size=200), min_size=1, max_size=5)


def contents(body: Body) -> list[object]:
    return [part.content for part in read_parts(body, max_images=10**6)]


def refusal(body: Body) -> tuple[int, str]:
    with pytest.raises(ServiceError) as refused:
        read_parts(body, max_images=10**6)
    return int(refused.value.status), refused.value.sentence


def form(images: list[bytes]) -> Body:
    request = httpx.Request(
        "POST",
        "http://any",
        files=[("image", (f"{i}.png", image)) for i, image in enumerate(images)],
    )
    return Body(request.headers["content-type"], request.read())


DISPOSITION = b'Content-Disposition: form-data; name="i"; filename="f.png"\r\n\r\n'
FILE = b"--a\r\n" + DISPOSITION + b"x\r\n"


def form_of(body: bytes) -> Body:
    return Body("multipart/form-data; boundary=a", body)


def npy(array: npt.NDArray[np.generic], **options: bool) -> Body:
    file = io.BytesIO()
    np.save(file, array, **options)
    return Body("application/x-npy", file.getvalue())


def json_body(document: object) -> Body:
    return Body("application/json", json.dumps(document).encode())


@pytest.mark.parametrize("content_type", [*IMAGE_TYPES, "", "Image/PNG; charset=binary"])
def test_a_raw_body_is_one_image(content_type: str) -> None:
    assert contents(Body(content_type, b"any bytes")) == [b"any bytes"]


@pytest.mark.parametrize("end", [b"", b"\r\n", b" \r\n\r\n"])
def test_a_form_may_end_with_lines(end: bytes) -> None:
    assert contents(form_of(FILE * 2 + b"--a--" + end)) == [b"x", b"x"]


@given(file_lists)
def test_a_form_gives_back_its_files(images: list[bytes]) -> None:
    assert contents(form(images)) == images


@given(st.lists(st.text("\r\n-", max_size=30).map(str.encode), min_size=1, max_size=3))
def test_a_form_survives_files_that_look_like_boundaries(images: list[bytes]) -> None:
    assert contents(form(images)) == images


@given(file_lists)
def test_json_gives_back_its_images(images: list[bytes]) -> None:
    encoded = [base64.b64encode(image).decode() for image in images]
    assert contents(json_body({"images": encoded})) == images
    assert contents(json_body({"image": encoded[0]})) == images[:1]


arrays = hnp.arrays(
    np.uint8,
    st.one_of(
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        st.tuples(st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 6)),
        st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 6)),
    ),
)


@given(arrays, st.booleans())
def test_an_array_gives_back_its_images(array: npt.NDArray[np.uint8], fortran: bool) -> None:
    body = npy(np.asfortranarray(array) if fortran else array)
    expected = array.reshape(-1, *((1,) * (3 - array.ndim)), *array.shape[-3:])
    found = [part.content for part in read_parts(body, max_images=10**6)]
    np.testing.assert_array_equal(np.stack(found), expected)  # type: ignore[arg-type]


@given(st.binary(max_size=300), st.sampled_from(["application/json", "application/x-npy"]))
def test_any_bytes_are_read_or_refused(content: bytes, content_type: str) -> None:
    try:
        read_parts(Body(content_type, content), max_images=10**6)
    except ServiceError as error:
        assert error.sentence.endswith(".")


@given(st.binary(max_size=120))
def test_any_npy_header_is_read_or_refused(header: bytes) -> None:
    size = len(header).to_bytes(2, "little")
    body = Body("application/x-npy", b"\x93NUMPY\x01\x00" + size + header)
    assert refusal(body)[0] in (400, 422)


@given(file_lists, st.data())
def test_a_form_that_is_cut_off_is_refused(images: list[bytes], data: st.DataObject) -> None:
    whole = form(images)
    cut = data.draw(st.integers(1, len(whole.content) - 5))
    assert refusal(Body(whole.content_type, whole.content[:cut]))[0] == 400


def header(shape: str, dtype: str = "|u1") -> Body:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return Body("application/x-npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)


field = json_body
TWICE = {"image": "YQ==", "images": ["YQ=="]}


@pytest.mark.parametrize(
    ("body", "status", "names"),
    [
        (Body("image/png", b""), 400, "empty"),
        (Body("", b""), 400, "empty"),
        (Body("text/plain", b"x"), 415, "text/plain"),
        (Body("application/x-www-form-urlencoded", b"x"), 415, "image/png"),
        (Body("application/json", b"{"), 400, "JSON"),
        (Body("application/json", b"[" * 100_000), 400, "JSON"),
        (Body("application/json", b"\xff\xfe"), 400, "JSON"),
        (field([]), 422, "object"),
        (field({}), 422, "'image' or 'images'"),
        (field({"img": "YQ=="}), 422, "'img'"),
        (field(TWICE), 422, "both"),
        (field({"images": "YQ=="}), 422, "'images'"),
        (field({"images": []}), 422, "'images'"),
        (field({"images": ["YQ==", 7]}), 422, "'images[1]'"),
        (field({"images": ["YQ==", "é"]}), 422, "'images[1]'"),
        (field({"image": "data:image/png,YQ=="}), 422, "'image'"),
        (Body("application/x-npy", b"not npy"), 400, ".npy"),
        (npy(np.zeros((4, 4), np.float32)), 422, "float32"),
        (npy(np.zeros((2, 4, 4), np.uint8)), 422, "[2, 4, 4]"),
        (npy(np.zeros((0, 1, 4, 4), np.uint8)), 422, "[0, 1, 4, 4]"),
        (npy(np.zeros(4, np.uint8)), 422, "[4]"),
        (npy(np.array([{}], object), allow_pickle=True), 422, "object"),
        (header("(-1, -1)"), 422, "[-1, -1]"),
        (
            Body("application/x-npy", npy(np.zeros((4, 4), np.uint8)).content + b"x"),
            400,
            "17 follow",
        ),
        (header("(1000000000000, 1000000000000)"), 400, "1000000000000000000000000 bytes"),
        (Body("multipart/form-data", b"x"), 400, "boundary"),
        (Body("multipart/form-data; boundary=a", b"x"), 400, "multipart"),
        (Body("multipart/form-data; boundary=a", b"--a--\r\n"), 400, "multipart"),
        (
            Body(
                "multipart/form-data; boundary=a",
                b'--a\r\nContent-Disposition: form-data; name="size"\r\n\r\n3\r\n--a--\r\n',
            ),
            422,
            "'size'",
        ),
        (form_of(FILE * 2 + b"--a--" + FILE + b"--a--\r\n"), 400, "after its closing boundary"),
        (form_of(FILE + b"--a--\r\n" + FILE + b"--a--\r\n"), 400, "after its closing boundary"),
        (form_of(FILE.replace(b"\r\n\r\n", b"\r\n" + DISPOSITION)), 400, "twice"),
    ],
)
def test_what_is_refused(body: Body, status: int, names: str) -> None:
    found, sentence = refusal(body)
    assert found == status
    assert names in sentence
    assert sentence.endswith(".")
    assert "accepted" in sentence


def _many(count: int) -> dict[str, Body]:
    """Bodies of each kind that ask for so many images and are far quicker to write than to read."""
    disposition = b'--b\r\nContent-Disposition: form-data; name="i"; filename="f"\r\n\r\nx\r\n'
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "|u1", "fortran_order": False, "shape": (count, 1, 1, 1)}
    )
    return {
        "npy": Body("application/x-npy", array.getvalue() + bytes(count)),
        "strings": Body("application/json", b'{"images": [' + b'"",' * (count - 1) + b'""]}'),
        "fields": Body("application/json", b'{"images": [""]' + b', "x": 1' * (count - 1) + b"}"),
        "numbers": Body("application/json", b'{"images": [' + b"1," * (count - 1) + b"1]}"),
        "form": Body("multipart/form-data; boundary=b", disposition * count + b"--b--\r\n"),
    }


@pytest.mark.parametrize("kind", ["npy", "strings", "fields", "numbers", "form"])
def test_images_are_counted_before_anything_is_built(kind: str) -> None:
    body = _many(100_000)[kind]
    tracemalloc.start()
    try:
        with pytest.raises(ServiceError, match=r"at most 64") as refused:
            read_parts(body, max_images=64)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413
    many = dict(_many(64))
    assert len(read_parts(many["npy"], max_images=64)) == 64
    assert len(read_parts(many["form"], max_images=64)) == 64


@pytest.mark.parametrize("piece", [b"[" * 900 + b"]" * 900, b'{"":' * 900 + b"0" + b"}" * 900])
def test_values_in_values_are_counted_before_they_are_built(piece: bytes) -> None:
    body = Body("application/json", b'{"images": [' + piece + b"]}")
    with pytest.raises(ServiceError, match="holds too many values; at most 64") as refused:
        read_parts(body, max_images=64)
    assert refused.value.status == 413
