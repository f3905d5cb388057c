"""Fields of JSON that are there twice are refused, whichever of the two a reader would take."""

import json
from typing import Any

import pytest

from service.errors import ServiceError
from service.protocol.json_images import read_json
from service.protocol.oip.request import read_request

IMAGE = (1, 2, 2)
PLAIN = (
    '{"id": "1", "inputs": [{"name": "image", "shape": [1, 1, 2, 2], "datatype": "UINT8",'
    ' "data": [1, 2, 3, 4]}], "outputs": [{"name": "logits",'
    ' "parameters": {"binary_data": false}}], "parameters": {"timeout": 9}}'
)


def read(text: str) -> Any:
    return read_request(text.encode(), None, IMAGE, max_images=4)


def test_a_field_of_an_inference_request() -> None:
    for more in ["", '"model_name": "x", ']:
        for field, value in [
            ("id", '"2"'),
            ("inputs", "[]"),
            ("outputs", "null"),
            ("shape", "[4, 1, 2, 2]"),
            ("datatype", '"FP32"'),
            ("data", "[9, 9, 9, 9]"),
            ("data", "[1, 2, 3, 4]"),
            ("timeout", "1"),
            ("binary_data", "true"),
            ("parameters", "null"),
            (r"\u0069d", '"2"'),
        ]:
            name = field.replace(r"\u0069", "i")
            text = PLAIN.replace('{"id"', f'{{{more}"id"')
            assert read(text).images.ravel().tolist() == [1, 2, 3, 4]
            twice = text.replace(f'"{name}": ', f'"{field}": {value}, "{name}": ', 1)
            with pytest.raises(ServiceError, match=f"The JSON field '{name}' is there twice"):
                read(twice)


def test_a_header_before_bytes_is_held_to_it_too() -> None:
    header = PLAIN.replace('"data": [1, 2, 3, 4]', '"parameters": {"binary_data_size": 4}')
    body = header.encode() + bytes([1, 2, 3, 4])
    found = read_request(body, len(header), IMAGE, max_images=4)
    assert found.images.ravel().tolist() == [1, 2, 3, 4]
    twice = header.replace('"shape"', '"shape": [2, 1, 2, 2], "shape"')
    with pytest.raises(ServiceError, match="'shape' is there twice"):
        read_request(twice.encode() + bytes(4), len(twice), IMAGE, max_images=4)


@pytest.mark.parametrize(
    "change",
    [
        {"id": None, "outputs": None, "parameters": None},
        {"id": 'a "quoted" name', "version": "2", "more": {"a": {"id": 1}, "b": {"id": 1}}},
        {"parameters": {"sequence_id": "", "binary_data_output": False, "other": "x"}},
        {"inputs": None},
    ],
)
def test_what_is_there_once_is_read(change: dict[str, Any]) -> None:
    document = json.loads(PLAIN)
    change = {name: value for name, value in change.items() if name != "inputs"}
    assert read(json.dumps(document | change)).images.ravel().tolist() == [1, 2, 3, 4]


@pytest.mark.timeout(20)  # 0.3 s; a scan of all names for each does not end within it
def test_many_names_take_no_time() -> None:
    many = ", ".join(f'"f{i}": 1' for i in range(60_000))
    text = PLAIN.replace('{"id"', f'{{{many}, "f59999": 2, "id"')
    with pytest.raises(ServiceError, match="'f59999' is there twice"):
        read(text)


def test_a_field_of_images() -> None:
    with pytest.raises(ServiceError, match="'image' is there twice"):
        read_json(b'{"image": "AA==", "image": "BB=="}', 4)
