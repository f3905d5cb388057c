"""Rows of bodies that are small to send and large to read."""

import io
import struct

import numpy as np
from PIL import Image

from benchmarks.hostile.row import Row, post, send

_SIDES = (8192, 4096)


def _npy() -> list[bytes]:
    """30 million images of one pixel."""
    shape = (30_000_000, 1, 1, 1)
    head = io.BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, fields)
    return post(head.getvalue() + bytes(shape[0]), "application/x-npy")


def _json() -> list[bytes]:
    body = b'{"images":[' + b'"",' * 7_999_999 + b'""]}'
    return post(body, "application/json")


def _multipart() -> list[bytes]:
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx\r\n'
    return post(part * 400_000 + b"--b--\r\n", "multipart/form-data; boundary=b")


def _jpeg() -> list[bytes]:
    """A progressive JPEG whose last scan is begun 200,000 times more, with nothing in it."""
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (1024, 1024), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", progressive=True, quality=20)
    whole = file.getvalue()
    begins = whole.rindex(b"\xff\xda")
    (length,) = struct.unpack(">H", whole[begins + 2 : begins + 4])
    scan = whole[begins : begins + 2 + length]
    return post(whole[:begins] + scan * 200_000 + b"\xff\xd9", "image/jpeg")


def _tiff() -> list[bytes]:
    """A grey TIFF of 1500 x 1500 tiles, a pixel each, all of them the same byte of the file."""
    side = 1500
    count = side * side
    tags = 10
    after = 8 + 2 + 12 * tags + 4
    offsets, sizes = after + 1, after + 1 + 4 * count
    entries = [
        (256, 4, 1, side),  # width
        (257, 4, 1, side),  # height
        (258, 3, 1, 8),  # bits per sample
        (259, 3, 1, 1),  # not compressed
        (262, 3, 1, 1),  # black is zero
        (277, 3, 1, 1),  # samples per pixel
        (322, 4, 1, 1),  # tile width
        (323, 4, 1, 1),  # tile length
        (324, 4, count, offsets),
        (325, 4, count, sizes),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, tags)
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    tiles = struct.pack("<I", after) * count + struct.pack("<I", 1) * count
    return post(head + directory + b"\x80" + tiles, "image/tiff")


def _large_images() -> list[bytes]:
    file = io.BytesIO()
    Image.new("L", _SIDES).save(file, "PNG")
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
    body = (part + file.getvalue() + b"\r\n") * 64 + b"--b--\r\n"
    return post(body, "multipart/form-data; boundary=b", "Prefer: wait=5")


_COUNTED = frozenset({413})
_BODY = 64 * 2**20  # a body is held twice while it is read

CONTENT = (
    Row(".npy of 30 million images", _npy, send, _COUNTED, 50 * 2**20 + _BODY),
    Row("JSON of 8 million strings", _json, send, _COUNTED, 50 * 2**20 + _BODY),
    Row("400,000 multipart parts", _multipart, send, _COUNTED, 50 * 2**20 + _BODY),
    Row("a JPEG of 200,000 scans", _jpeg, send, frozenset({413, 422})),
    Row("a TIFF of 1 x 1 tiles", _tiff, send, frozenset({413, 422, 504}), 400 * 2**20, 31.0),
    Row(
        "64 images of 8192 x 4096, deadline 5 s",
        _large_images,
        send,
        frozenset({504}),
        400 * 2**20,
        6.0,
    ),
)
