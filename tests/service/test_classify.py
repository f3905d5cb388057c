"""What is answered to images, and to what is no image."""

import asyncio
import base64
import io
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from imaging import grid_symmetries
from tests.service.processes import npy

pytestmark = pytest.mark.anyio
Expected = Callable[[Any], list[tuple[str, float]]]
Png = Callable[..., bytes]


async def post(client: httpx.AsyncClient, content: Any, kind: str, path: str = "/classify") -> Any:
    return await client.post(path, content=content, headers={"Content-Type": kind})


def found(response: httpx.Response) -> list[tuple[str, float]]:
    assert response.status_code == 200, response.text
    return [(each["label"], each["probability"]) for each in response.json()["predictions"]]


def assert_same(left: list[tuple[str, float]], right: list[tuple[str, float]]) -> None:
    assert [label for label, _ in left] == [label for label, _ in right]
    np.testing.assert_allclose([p for _, p in left], [p for _, p in right], rtol=1e-5)


async def test_an_image_gets_the_answer_of_the_reference_implementation(
    client: httpx.AsyncClient, images: Any, png: Png, expected: Expected
) -> None:
    for image in images[:20]:
        response = await post(client, png(image), "image/png")
        assert_same(found(response), expected(image[None]))


async def test_every_way_of_sending_images_keeps_their_order(
    client: httpx.AsyncClient, images: Any, png: Png, expected: Expected
) -> None:
    batch = images[:40]
    files = [png(image) for image in batch]
    encoded = [base64.b64encode(file).decode() for file in files]
    answers = [
        await client.post("/classify", files=[("image", ("x.png", file)) for file in files]),
        await client.post("/classify", json={"images": encoded}),
        await post(client, npy(batch), "application/x-npy"),
    ]
    assert len({label for label, _ in expected(batch)}) > 1
    for answer in answers:
        assert_same(found(answer), expected(batch))
    assert len({answer.content for answer in answers}) == 1


async def test_a_batch_is_answered_as_its_images_are_alone(
    client: httpx.AsyncClient, images: Any
) -> None:
    together = found(await post(client, npy(images[:32]), "application/x-npy"))
    alone = [found(await post(client, npy(i), "application/x-npy"))[0] for i in images[:32]]
    assert_same(together, alone)


@pytest.mark.parametrize("encoding", ["PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
async def test_the_bytes_tell_the_format(
    client: httpx.AsyncClient, images: Any, png: Png, encoding: str, kind: str
) -> None:
    by_array = await post(client, npy(images[0]), "application/x-npy")
    by_file = await post(client, png(images[0], encoding), kind)
    assert by_file.content == by_array.content


async def test_a_turned_image_gets_the_same_label(
    client: httpx.AsyncClient, images: Any, png: Png
) -> None:
    large = np.kron(images[0], np.ones((5, 7), np.uint8))
    answers = [
        found(await post(client, png(np.ascontiguousarray(g(large))), "image/png"))
        for g in grid_symmetries("C4")
    ]
    for answer in answers[1:]:
        assert_same(answer, answers[0])


async def test_equal_requests_get_equal_bodies(client: httpx.AsyncClient, images: Any) -> None:
    answers = [await post(client, npy(images[:7]), "application/x-npy") for _ in range(5)]
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 5


async def test_the_ranking_is_by_probability_and_as_long_as_asked(
    client: httpx.AsyncClient, images: Any
) -> None:
    for asked, given in ((1, 1), (3, 3), (4, 4), (99, 4)):
        path = f"/classify?top_k={asked}"
        response = await post(client, npy(images[0]), "application/x-npy", path)
        (prediction,) = response.json()["predictions"]
        top = prediction.pop("top")
        assert len(top) == given
        assert top[0] == prediction
        assert top == sorted(top, key=lambda each: -each["probability"])
    assert sum(each["probability"] for each in top) == pytest.approx(1)


async def test_the_answer_has_the_documented_shape(client: httpx.AsyncClient, images: Any) -> None:
    answer = (await post(client, npy(images[:2]), "application/x-npy")).json()
    assert answer.keys() == {"model", "predictions"}
    assert answer["model"].keys() == {"name", "version", "digest"}
    assert all(p.keys() == {"label", "index", "probability", "top"} for p in answer["predictions"])


async def test_a_model_is_named_by_the_path(client: httpx.AsyncClient, images: Any) -> None:
    async def model(path: str) -> Any:
        return (await post(client, npy(images[0]), "application/x-npy", path)).json()["model"]

    latest = await model("/classify")
    assert (latest["name"], latest["version"]) == ("turning", 10)
    assert await model("/models/turning/classify") == latest
    assert await model("/models/turning/versions/10/classify") == latest
    older = await model("/models/turning/versions/2/classify")
    assert older["version"] == 2
    assert older["digest"] != latest["digest"]
    assert (await model("/models/plain/classify"))["name"] == "plain"


def animation() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("L", (8, 8), level) for level in (0, 255)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


GREY = npy(np.zeros((8, 8), np.uint8))
BAD = [
    ("/classify", b"", "image/png", 400, "empty"),
    ("/classify", b"this is a text file", "image/png", 415, "format"),
    ("/classify", animation(), "image/webp", 422, "frames"),
    ("/classify", b'{"images": ["AAAA"]}', "application/json", 415, "images[0]"),
    ("/classify", npy(np.zeros((3, 8, 8), np.uint8)), "application/x-npy", 422, "3 channels"),
    ("/classify", npy(np.zeros((65, 1, 8, 8), np.uint8)), "application/x-npy", 413, "65 images"),
    ("/classify", npy(np.zeros((1, 70_000), np.uint8)), "application/x-npy", 413, "70000 x 1"),
    ("/classify", bytes(40 * 2**20), "image/png", 413, "33554432 bytes"),
    ("/classify?top_k=0", GREY, "application/x-npy", 422, "'top_k'"),
    ("/classify?top_k=1&top_k=2", GREY, "application/x-npy", 422, "'top_k' is there twice"),
    ("/classify?topk=3", GREY, "application/x-npy", 422, "'topk'"),
    ("/models/none/classify", GREY, "application/x-npy", 404, "'none'"),
    ("/models/turning/versions/3/classify", GREY, "application/x-npy", 404, "2, 10"),
    ("/models/turning/versions/x/classify", GREY, "application/x-npy", 404, "'x' is no version"),
    ("/models/..%2Fplain/classify", GREY, "application/x-npy", 404, "/models/"),
    ("/classify/", GREY, "application/x-npy", 404, "/docs"),
    ("/healthz", GREY, "application/x-npy", 405, "GET"),
]


def assert_refused(response: httpx.Response, status: int, names: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.json().keys() == {"error"}
    sentence = response.json()["error"]
    assert names in sentence
    assert re.fullmatch(r"[^\n]+\.", sentence)
    assert "Traceback" not in sentence


@pytest.mark.parametrize(
    ("side", "status", "names"), [(60_000, 413, "too large"), (8, 422, "broken")]
)
async def test_what_a_png_announces_is_checked_before_it_is_decoded(
    client: httpx.AsyncClient,
    png_announcing: Callable[[int], bytes],
    side: int,
    status: int,
    names: str,
) -> None:
    assert_refused(await post(client, png_announcing(side), "image/png"), status, names)


async def test_a_broken_image_in_a_batch_is_named(
    client: httpx.AsyncClient, images: Any, png: Png
) -> None:
    files = [("image", ("good.png", png(images[0]))), ("image", ("bad.png", b"no image"))]
    assert_refused(await client.post("/classify", files=files), 415, "file 2 ('bad.png')")


async def test_in_a_burst_each_request_gets_its_own_answer(
    client: httpx.AsyncClient, images: Any, png: Png, expected: Expected
) -> None:
    async def good(image: Any) -> None:
        answer = await post(client, png(image), "image/png")
        assert_same(found(answer), expected(image[None]))

    async def bad(case: tuple[str, bytes, str, int, str]) -> None:
        path, content, kind, status, names = case
        assert_refused(await post(client, content, kind, path), status, names)

    await asyncio.gather(*map(good, images[:60]), *map(bad, 3 * BAD))


async def chunks(total: int, sent: list[int]) -> AsyncIterator[bytes]:
    for _ in range(total // 2**16):
        sent.append(2**16)
        yield bytes(2**16)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("Content-Type", ("application/x-npy", "text/plain")),
        ("Content-Encoding", ("identity", "gzip")),
        ("Inference-Header-Content-Length", ("0", "12")),
        ("Authorization", ("Bearer a", "Bearer b")),
        ("X-API-Key", ("a", "b")),
    ],
)
async def test_a_field_that_says_how_the_body_is_read_is_there_once(
    client: httpx.AsyncClient, field: str, values: tuple[str, str]
) -> None:
    """Of two the first counted; what stands before the service may go by the other."""
    for path in ("/classify", "/v2/models/turning/infer", "/v2/repository/index"):
        both = [(field, value) for value in values]
        answer = await client.post(path, content=GREY, headers=both)
        assert_refused(answer, 400, f"'{field.lower()}' is there 2 times")


async def test_all_that_is_preferred_counts(client: httpx.AsyncClient) -> None:
    """RFC 7240, 2: several fields are as good as one."""
    preferred = [("Prefer", "handling=strict"), ("Prefer", "wait=0")]
    kind = ("Content-Type", "application/x-npy")
    answer = await client.post("/classify", content=GREY, headers=[kind, *preferred])
    assert_refused(answer, 504, "within its time")


async def test_a_path_that_is_not_there_is_told_whole(client: httpx.AsyncClient) -> None:
    answer = await client.get("/models%3Fformat=x")
    assert_refused(answer, 404, "There is nothing at /models?format=x;")


async def test_a_body_without_a_length_is_refused_as_it_arrives(client: httpx.AsyncClient) -> None:
    sent: list[int] = []
    response = await post(client, chunks(2**30, sent), "image/png")
    assert_refused(response, 413, "33554432 bytes")
    assert sum(sent) <= 2**25 + 2**17


async def test_a_body_that_announces_too_much_is_refused_unread(client: httpx.AsyncClient) -> None:
    sent: list[int] = []
    headers = {"Content-Type": "image/png", "Content-Length": str(2**30)}
    response = await client.post("/classify", content=chunks(2**30, sent), headers=headers)
    assert_refused(response, 413, "33554432 bytes")
    assert sent == []


async def test_a_body_of_exactly_the_limit_is_read(
    open_client: Any, repository: Path, images: Any
) -> None:
    body = npy(images[0])
    async with open_client(repository, max_body_bytes=len(body)) as client:
        assert (await post(client, body, "application/x-npy")).status_code == 200
        assert_refused(await post(client, body + b"x", "application/x-npy"), 413, "accepted")


async def test_limits_of_pixels_and_images_are_settings(
    open_client: Any, repository: Path, images: Any, png: Png
) -> None:
    async with open_client(repository, max_pixels=63, max_batch_size=2) as client:
        assert_refused(await post(client, png(images[0]), "image/png"), 413, "63 pixels")
        assert_refused(await post(client, npy(images[0]), "application/x-npy"), 413, "63 pixels")
        assert_refused(await post(client, npy(images[:3]), "application/x-npy"), 413, "at most 2")


async def test_a_failure_of_our_own_is_in_the_log_and_not_in_the_answer(
    open_client: Any,
    repository: Path,
    logged: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr("service.data_plane.classification", broken)
    async with open_client(repository) as client:
        response = await post(client, GREY, "application/x-npy")
    assert_refused(response, 500, "request's id")
    assert "mistake" not in response.text
    (failure,) = (line for line in logged() if line["event"] == "the request failed")
    assert failure["request_id"] == response.headers["X-Request-ID"]
    assert "a mistake" in failure["exception"][0]["exc_value"]
    assert not any("locals" in frame for frame in failure["exception"][0]["frames"])


def undefined_where_white(graph: bytes) -> bytes:
    """Add 0 * log(255 - the darkest pixel) to the logits: NaN for a white image, else nothing."""
    model = onnx.load_from_string(graph)
    nodes = model.graph.node
    (gemm,) = (node for node in nodes if node.op_type == "Gemm")
    gemm.output[0] = "before"
    place = [*nodes].index(gemm) + 1
    steps = (
        ("Flatten", ["grey"], "flat"),
        ("ReduceMin", ["flat", "one"], "darkest"),
        ("Sub", ["white", "darkest"], "left"),
        ("Log", ["left"], "logarithm"),
        ("Mul", ["zero", "logarithm"], "nothing"),
        ("Add", ["before", "nothing"], "logits"),
    )
    for kind, taken, given in reversed(steps):
        nodes.insert(place, helper.make_node(kind, taken, [given]))
    constants = {"one": np.array([1]), "white": np.float32(255), "zero": np.float32(0)}
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return bytes(model.SerializeToString())


async def test_numbers_that_are_not_finite_are_no_answer(
    open_client: Any, write_version: Any, turning: bytes, images: Any, tmp_path: Path
) -> None:
    """What is NaN was ranked like a number, and written as `null`."""
    write_version(tmp_path, "turning", 1, undefined_where_white(turning))
    white = np.full_like(images[:1], 255)
    pixels = {"Inference-Header-Content-Length": "0"}
    async with open_client(tmp_path) as client:
        for some in (white, np.concatenate([images[:3], white])):
            for answer in (
                await post(client, npy(some), "application/x-npy"),
                await client.post(
                    "/v2/models/turning/infer", content=some.tobytes(), headers=pixels
                ),
            ):
                assert answer.status_code == 500
                assert "not finite" in answer.json()["error"]
        several = [post(client, npy(each), "application/x-npy") for each in (images[:5], white)]
        good, bad = await asyncio.gather(*several)
        assert (good.status_code, bad.status_code) == (200, 500)
        counted = (await client.get("/v2/models/turning/stats")).json()["model_stats"][0]
        assert counted["inference_stats"]["fail"]["count"] == 5


@pytest.mark.parametrize(
    ("sent", "kept"), [("a-1.B_2", True), ("a b", False), ("x" * 129, False), ("é", False)]
)
async def test_a_request_id_is_kept_if_it_is_safe(
    client: httpx.AsyncClient, sent: str, kept: bool
) -> None:
    headers = {b"X-Request-ID": sent.encode("latin-1")}
    answered = (await client.get("/healthz", headers=headers)).headers["X-Request-ID"]
    assert (answered == sent) == kept
    assert re.fullmatch(r"[A-Za-z0-9._-]+", answered)


async def test_answers_say_where_the_time_went(client: httpx.AsyncClient, images: Any) -> None:
    response = await post(client, npy(images[0]), "application/x-npy")
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    assert list(stages) == ["receive", "decode", "queue", "inference", "encode", "total"]
    durations = {name: float(value) for name, value in stages.items()}
    assert sum(durations.values()) <= 2 * durations["total"] + 0.05
