"""Whatever is sent is answered with a code and one sentence, never with a failure."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine import Inference
from service.errors import ServiceError
from service.grpc.codec import read_infer, write_infer
from service.grpc.compile import COMPILED, compile_to
from service.grpc.fields import WORTH_COUNTING
from service.grpc.messages import message
from service.grpc.receiving import decode
from service.protocol.oip import InferRequest, RequestedOutput, Served, write_bytes

METHOD = "/inference.GRPCInferenceService/ModelInfer"
Infer = message("ModelInferRequest")
Response = message("ModelInferResponse")
IMAGE = (1, 8, 8)


def infer(**fields: Any) -> Any:
    """A request for one image, changed as the fields say."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *IMAGE], **fields.pop("input", {})}
    raw = fields.pop("raw_input_contents", [bytes(64)])
    return Infer(model_name="turning", inputs=[tensor], raw_input_contents=raw, **fields)


def test_the_compiled_messages_are_those_of_the_source(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    compile_to(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == COMPILED.read_bytes()


@given(st.integers(1, 5), st.booleans(), st.randoms(use_true_random=False))
def test_pixels_come_out_as_they_went_in(count: int, raw: bool, random: Any) -> None:
    images = np.array([random.randrange(256) for _ in range(64 * count)], np.uint8)
    shape = {"shape": [count, *IMAGE]}
    if raw:
        sent = infer(input=shape, raw_input_contents=[images.tobytes()])
    else:
        contents = {"contents": {"uint_contents": images.tolist()}}
        sent = infer(input=shape | contents, raw_input_contents=[])
    read = read_infer(sent, IMAGE, 10)
    assert read.images.dtype == np.uint8
    assert read.images.tobytes() == images.tobytes()


WRONG = {
    "too few bytes": infer(raw_input_contents=[bytes(63)]),
    "too many bytes": infer(raw_input_contents=[bytes(65)]),
    "none": infer(raw_input_contents=[]),
    "twice": infer(raw_input_contents=[bytes(64), bytes(64)]),
    "in both ways": infer(input={"contents": {"uint_contents": [0] * 64}}),
    "too large a value": infer(
        input={"contents": {"uint_contents": [256] * 64}}, raw_input_contents=[]
    ),
    "another type of contents": infer(
        input={"contents": {"int_contents": [0] * 64}}, raw_input_contents=[]
    ),
    "a negative side": infer(input={"shape": [-1, *IMAGE]}),
    "another shape": infer(input={"shape": [1, 64]}),
    "no image": infer(input={"shape": [0, *IMAGE]}, raw_input_contents=[b""]),
    "another type": infer(input={"datatype": "FP32"}),
    "another name": infer(input={"name": "x"}),
    "no input": Infer(model_name="turning"),
    "two inputs": Infer(model_name="turning", inputs=[{"name": "image"}, {"name": "image"}]),
    "shared memory": infer(input={"parameters": {"shared_memory_region": {"string_param": "a"}}}),
    "a timeout in words": infer(parameters={"timeout": {"string_param": "soon"}}),
    "a negative timeout": infer(parameters={"timeout": {"int64_param": -1}}),
    "a class count in words": infer(
        outputs=[{"name": "logits", "parameters": {"classification": {"string_param": "3"}}}]
    ),
    "an output twice": infer(outputs=[{"name": "logits"}, {"name": "logits"}]),
}


@pytest.mark.parametrize("sent", WRONG.values(), ids=WRONG)
def test_what_lies_about_itself_is_refused_in_a_sentence(sent: Any) -> None:
    with pytest.raises(ServiceError) as refused:
        read_infer(sent, IMAGE, 10)
    assert refused.value.status in (400, 422)
    assert str(refused.value).endswith(".")


def test_what_was_read_before_is_read_again_with_its_own_pixels_and_limits() -> None:
    """All but the pixels is remembered."""
    for byte in (b"a", b"b"):
        read = read_infer(infer(raw_input_contents=[64 * byte]), IMAGE, 1)
        assert read.images.tobytes() == 64 * byte
    for sent, image, most in (
        (infer(raw_input_contents=[bytes(63)]), IMAGE, 1),
        (infer(), (1, 4, 16), 1),
        (infer(), IMAGE, 0),
        (infer(input={"contents": {"uint_contents": [0] * 64}}), IMAGE, 1),
    ):
        with pytest.raises(ServiceError):
            read_infer(sent, image, most)


@pytest.mark.parametrize("classes", [0, 2])
def test_an_answer_is_in_every_byte_the_message_that_it_says(classes: int) -> None:
    outputs = tuple(RequestedOutput(each, True, classes) for each in ("probabilities", "logits"))
    served = Served("turning", "10", ("a", "b", "c"))
    for identity, images in (("", 1), ("mine", 2), ("mine", 2), ("", 1)):
        result = Inference(*np.random.default_rng(images).random((2, images, 3), np.float32))
        request = InferRequest(np.zeros((images, *IMAGE), np.uint8), outputs, identity)
        written = write_infer(request, result, served)
        found = Response.FromString(written)
        assert found.SerializeToString() == written
        assert (found.model_name, found.model_version, found.id) == ("turning", "10", identity)
        due = write_bytes(outputs, result, served)
        described = [(each.name, each.datatype, list(each.shape)) for each in found.outputs]
        assert described == [(each.name, each.datatype, list(each.shape)) for each in due]
        assert list(found.raw_output_contents) == [each.content for each in due]


EMPTY = {
    "inputs": Infer(inputs=[{}]).SerializeToString(),
    "outputs": Infer(outputs=[{}]).SerializeToString(),
    "raw contents": Infer(raw_input_contents=[b""]).SerializeToString(),
}
"""Two bytes each; as objects they took two to three hundred times as much, for seconds."""


@pytest.mark.parametrize("field", [*EMPTY.values()], ids=[*EMPTY])
def test_fields_are_counted_before_they_are_read(field: bytes) -> None:
    with pytest.raises(ServiceError, match="too many fields") as refused:
        decode(Infer, 100_000 * field)
    assert refused.value.status == 413


def test_fields_within_fields_are_counted_too() -> None:
    contents = {"contents": {"bytes_contents": 100_000 * [b""]}}
    with pytest.raises(ServiceError, match="too many fields"):
        decode(Infer, infer(input=contents).SerializeToString())


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_a_small_message_holds_few_tensors(kind: str) -> None:
    sent = decode(Infer, 30_000 * EMPTY[kind])
    tracemalloc.start()
    try:
        with pytest.raises(ServiceError, match="too many inputs and outputs") as refused:
            read_infer(sent, IMAGE, 10)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413


@given(st.integers(1, 300_000), st.booleans())
def test_large_messages_with_few_fields_are_read(size: int, raw: bool) -> None:
    if raw:
        sent = infer(raw_input_contents=[bytes(size)])
    else:
        sent = infer(input={"contents": {"uint_contents": [200] * size}})
    sent.parameters["timeout"].int64_param = size
    assert decode(Infer, sent.SerializeToString()) == sent


@given(st.binary(max_size=50))
def test_what_is_counted_is_read_or_refused_as_it_was(some: bytes) -> None:
    """Of bytes that are a message the count refuses none, groups apart, which no message has."""
    data = infer(raw_input_contents=[bytes(WORTH_COUNTING)]).SerializeToString() + some
    try:
        due = Infer.FromString(data)
    except DecodeError:
        due = None
    try:
        found = decode(Infer, data)
    except ServiceError as refusal:
        assert refusal.status == 400
        groups = {number << 3 | wire for number in range(16) for wire in (3, 4)}
        assert due is None or not groups.isdisjoint(some)
    else:
        assert found == due


def test_parameters_that_change_no_answer_are_accepted() -> None:
    parameters = {
        "priority": {"uint64_param": 1},
        "mine": {"double_param": 0.5},
        "binary_data_output": {"string_param": "of HTTP's extension"},
        "timeout": {"int64_param": 2_000_000},
        "empty": {},
    }
    read = read_infer(infer(parameters=parameters), IMAGE, 10)
    assert read.timeout == 2
    assert [each.name for each in read.outputs] == ["logits", "probabilities"]


@pytest.fixture(scope="module")
def channel(listen: Any, repository: Path) -> Iterator[Any]:
    with (
        listen(repository, grpc_port=0) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.app.state.grpc.port}") as channel,
    ):
        yield channel


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_server_fail(channel: Any, body: bytes) -> None:
    """Of whatever bytes there are the code is the sender's fault, and the answer a sentence."""
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(METHOD)(body)
    assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert refused.value.details().endswith(".")


def test_ids_and_timings_come_behind_each_answer(channel: Any) -> None:
    call = channel.unary_unary(METHOD)
    sent = infer().SerializeToString()
    _, done = call.with_call(sent, metadata=[("x-request-id", "mine-7")])
    told = dict(done.trailing_metadata())
    assert told["x-request-id"] == "mine-7"
    assert "inference;dur=" in told["server-timing"]
    with pytest.raises(grpc.RpcError) as refused:
        call(b"\xff", metadata=[("x-request-id", "not safe!")])
    told = dict(refused.value.trailing_metadata())
    assert len(told["x-request-id"]) == 32


def test_long_names_of_requests_are_not_kept() -> None:
    result = Inference(*np.zeros((2, 1, 3), np.float32))
    outputs = (RequestedOutput("logits", True),)
    tracemalloc.start()
    try:
        for number in range(100):
            request = InferRequest(
                np.zeros((1, *IMAGE), np.uint8), outputs, id=f"{number}" * 20_000
            )
            written = write_infer(request, result, Served("turning", "10", ("a", "b", "c")))
            assert Response.FromString(written).id == request.id
            del request, written
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2**19
