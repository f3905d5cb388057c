"""Every form is answered by a small server, and a server that answers wrong is never timed."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving.formats import HEADER_LENGTH, base64_json, oip_binary, oip_json, png, raw
from benchmarks.serving.rounds import Case, WrongAnswerError, check, time_case
from benchmarks.serving.server import ServerError

IMAGES = np.random.default_rng(7).integers(0, 256, (8, 1, 28, 28), dtype=np.uint8)


def label(image):
    """What these servers take for the class of an image [..., 28, 28]."""
    return int(image.ravel()[0]) % 10


@dataclass(frozen=True)
class Digits:
    images: np.ndarray
    labels: list[int]


DIGITS = Digits(IMAGES, [label(image) for image in IMAGES])

Respond = Callable[[bytes, int], tuple[bytes, dict[str, str]]]


def probabilities(images):
    return np.eye(10, dtype=np.float32)[[label(image) for image in images]]


def answer_png(body, length):
    found = label(np.asarray(Image.open(io.BytesIO(body))))
    return json.dumps({"predictions": [{"index": found}]}).encode(), {}


def answer_raw(body, length):
    return json.dumps({"label": body[0] % 10, "probability": 1.0}).encode(), {}


def answer_base64(body, length):
    return json.dumps([base64.b64decode(json.loads(body)["image"])[0] % 10]).encode(), {}


def answer_json(body, length):
    (tensor,) = json.loads(body)["inputs"]
    rows = probabilities(np.array(tensor["data"]).reshape(tensor["shape"]))
    output = {"name": "probabilities", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    return json.dumps({"outputs": [{"name": "logits"}, output]}).encode(), {}


def answer_binary(body, length):
    (tensor,) = json.loads(body[:length])["inputs"]
    assert tensor["parameters"]["binary_data_size"] == len(body) - length
    rows = probabilities(np.frombuffer(body[length:], np.uint8).reshape(tensor["shape"]))
    output = {"name": "probabilities", "datatype": "FP32", "shape": list(rows.shape)}
    head = json.dumps({"outputs": [output]}).encode()
    return head + rows.tobytes(), {HEADER_LENGTH: str(len(head))}


@contextmanager
def answering(respond: Respond) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            content, headers = respond(body, int(self.headers.get(HEADER_LENGTH, 0)))
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


FORMS = [
    (png("/classify"), answer_png),
    (raw("/classify"), answer_raw),
    (base64_json("/predict", lambda text: {"image": text}, lambda found: found), answer_base64),
    (oip_json("digits"), answer_json),
    (oip_binary("digits"), answer_binary),
]


@pytest.mark.parametrize(("form", "respond"), FORMS, ids=lambda value: getattr(value, "name", ""))
def test_right_labels_are_accepted_and_others_refused(form, respond):
    shifted = Digits(IMAGES, [*DIGITS.labels[:-1], (DIGITS.labels[-1] + 1) % 10])
    sizes = (1, 4) if form.many else (1,)
    with answering(respond) as port:
        for size in sizes:
            assert len(check(form, port, DIGITS, size)) == len(IMAGES) // size
            with pytest.raises(WrongAnswerError, match="where the bare session says"):
                check(form, port, shifted, size)
        with pytest.raises(WrongAnswerError):
            time_case(Case("wrong", form.name, 1, 1), form, port, shifted, 1)


def test_an_answer_that_cannot_be_read_is_refused():
    with (
        answering(lambda body, length: (b'{"outputs": []}', {})) as port,
        pytest.raises(WrongAnswerError, match="not understood"),
    ):
        check(oip_json("digits"), port, DIGITS, 1)


def test_nobody_there_is_refused():
    with answering(answer_raw) as port:
        pass
    with pytest.raises(ServerError, match="no answer"):
        check(raw("/classify"), port, DIGITS, 1)


def test_forms_of_single_images_say_so():
    for form, _ in FORMS:
        if not form.many:
            with pytest.raises(ValueError, match="carries one image; 8 were given"):
                form.encode(IMAGES)
