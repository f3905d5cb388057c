"""The formats in which images travel: a whole HTTP request, and the labels read from an answer."""

import base64
import io
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from artifact.contract import INPUT, PROBABILITIES, Images
from service.grpc.messages import SERVICE, message

HEADER_LENGTH = "Inference-Header-Content-Length"
OUTPUT = PROBABILITIES


@dataclass(frozen=True)
class Answer:
    """A response of status 200: its headers, names in lower case, and its body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Format:
    """How images [N, C, H, W] are asked about.

    Attributes
    ----------
    name
        What the table calls it.
    encode
        From images to a whole HTTP request.
    labels
        From an answer to the index of the most probable class of each image.
    many
        Whether more than one image fits into a request.
    grpc
        Path of the gRPC method that is called, if it is one; `encode` then makes the body alone.
    of_files
        Whether `encode` takes an image file as it is, and no pixels.
    """

    name: str
    encode: Callable[[Any], bytes]
    labels: Callable[[Answer], list[int]]
    many: bool = False
    grpc: str | None = None
    of_files: bool = False


def post(
    path: str, content_type: str, body: bytes, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return a POST request as bytes, ready to be sent again and again."""
    fields = {
        "Host": "localhost",
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def png(path: str) -> Format:
    """One PNG file as the body, answered by this service's `/classify`."""

    def encode(images: Images) -> bytes:
        file = io.BytesIO()
        Image.fromarray(_only(images)[0]).save(file, "PNG")
        return post(path, "image/png", file.getvalue())

    return Format("PNG", encode, _predicted)


def jpeg(path: str) -> Format:
    """One JPEG file as the body, as it came from the camera, answered likewise."""
    return Format("JPEG", lambda file: post(path, "image/jpeg", file), _predicted, of_files=True)


def _predicted(answer: Answer) -> list[int]:
    return [found["index"] for found in json.loads(answer.body)["predictions"]]


def raw(path: str) -> Format:
    """The pixels of one image as the body, answered by `{"label": ..., "probability": ...}`."""

    def encode(images: Images) -> bytes:
        return post(path, "application/octet-stream", _only(images).tobytes())

    return Format("raw pixels", encode, lambda answer: [json.loads(answer.body)["label"]])


def base64_json(
    path: str, wrap: Callable[[str], Any], labels: Callable[[Any], list[int]]
) -> Format:
    """The pixels of one image in base64 in a JSON body, for servers that take JSON alone.

    ``wrap`` puts the text into the body that the server expects; ``labels`` reads its answer.
    """

    def encode(images: Images) -> bytes:
        text = base64.b64encode(_only(images).tobytes()).decode()
        return post(path, "application/json", json.dumps(wrap(text)).encode())

    return Format("base64 in JSON", encode, lambda answer: labels(json.loads(answer.body)))


def oip_json(model: str) -> Format:
    """Open Inference Protocol, the tensor as a list of numbers."""

    def encode(images: Images) -> bytes:
        tensor = _tensor(images) | {"data": images.ravel().tolist()}
        body = json.dumps({"inputs": [tensor], "outputs": [{"name": OUTPUT}]})
        return post(_infer(model), "application/json", body.encode())

    def labels(answer: Answer) -> list[int]:
        output = _output(json.loads(answer.body))
        return _largest(np.array(output["data"], np.float32), output["shape"])

    return Format("OIP JSON", encode, labels, many=True)


def oip_binary(model: str) -> Format:
    """Open Inference Protocol with the binary tensor extension, both ways."""

    def encode(images: Images) -> bytes:
        tensor = _tensor(images) | {"parameters": {"binary_data_size": images.nbytes}}
        asked = {"name": OUTPUT, "parameters": {"binary_data": True}}
        header = json.dumps({"inputs": [tensor], "outputs": [asked]}).encode()
        length = {HEADER_LENGTH: str(len(header))}
        body = header + images.tobytes()
        return post(_infer(model), "application/octet-stream", body, length)

    def labels(answer: Answer) -> list[int]:
        length = int(answer.headers[HEADER_LENGTH.lower()])
        output = _output(json.loads(answer.body[:length]))
        return _largest(np.frombuffer(answer.body[length:], np.float32), output["shape"])

    return Format("OIP binary", encode, labels, many=True)


def oip_grpc(model: str) -> Format:
    """Open Inference Protocol over gRPC, with raw contents both ways."""

    def encode(images: Images) -> bytes:
        sent = message("ModelInferRequest")(
            model_name=model,
            inputs=[{"name": INPUT, "datatype": "UINT8", "shape": images.shape}],
            outputs=[{"name": OUTPUT}],
            raw_input_contents=[images.tobytes()],
        ).SerializeToString()
        return b"".join((b"\0", struct.pack(">I", len(sent)), sent))

    def labels(answer: Answer) -> list[int]:
        found = message("ModelInferResponse").FromString(answer.body[5:])
        place = [output.name for output in found.outputs].index(OUTPUT)
        values = np.frombuffer(found.raw_output_contents[place], np.float32)
        return _largest(values, list(found.outputs[place].shape))

    return Format("OIP gRPC", encode, labels, many=True, grpc=f"/{SERVICE}/ModelInfer")


def _infer(model: str) -> str:
    return f"/v2/models/{model}/infer"


def _tensor(images: Images) -> dict[str, Any]:
    return {"name": INPUT, "datatype": "UINT8", "shape": list(images.shape)}


def _output(answer: Any) -> Any:
    return next(output for output in answer["outputs"] if output["name"] == OUTPUT)


def _largest(values: NDArray[np.float32], shape: list[int]) -> list[int]:
    return [int(label) for label in values.reshape(shape).argmax(-1)]


def _only(images: Images) -> Images:
    """Return the one image [C, H, W] that a format of single images carries."""
    if len(images) != 1:
        raise ValueError(f"This format carries one image; {len(images)} were given.")
    image: Images = images[0]
    return image
