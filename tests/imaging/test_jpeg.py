"""JPEGs that are damaged, or that cost more than they are worth."""

import io
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image

from imaging import ImageError, decode
from imaging.formats.jpeg import decode_abbreviated, read_head

RANDOM = np.random.default_rng(14)


def picture(side: int = 160) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:side, 0:side]
    waves = 90 * np.sin(x / 7) + 60 * np.cos(y / 11) + 110
    return np.stack([waves, waves[::-1], waves.T], -1).clip(0, 255).astype(np.uint8)


def jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(ImageError) as error:
        decode(data, 3)
    assert error.value.reason == "broken"
    message = str(error.value)
    assert message.endswith("accepted.")
    assert "\n" not in message
    return message


KINDS: dict[str, dict[str, object]] = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "optimized": {"optimize": True},
}


def test_pixels_are_those_of_pillow() -> None:
    for mode, kind in product(["L", "RGB", "CMYK"], KINDS):
        data = jpeg(Image.fromarray(picture()).convert(mode), **KINDS[kind])
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
        assert np.abs(decode(data, 3).astype(int) - shown).max() <= 1
        grey = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").convert("L"))
        assert np.abs(decode(data, 1)[0].astype(int) - grey).max() <= 1


def test_by_opencv() -> None:
    samples = picture()
    for options in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 3]):
        ok, data = cv2.imencode(".jpg", samples[..., ::-1], options)
        assert ok
        difference = decode(data.tobytes(), 3) - samples.transpose(2, 0, 1).astype(int)
        assert np.abs(difference).mean() < 4


def test_a_lost_middle_is_refused() -> None:
    for part, kind in product([0.3, 0.5, 0.7], KINDS):
        data = jpeg(Image.fromarray(picture()), **KINDS[kind])
        scan = data.index(b"\xff\xda") + 20
        cut = scan + int(part * (len(data) - scan))
        refusal(data[:cut] + data[cut + 200 :])


def test_a_cut_off_file_is_refused() -> None:
    for kind in KINDS:
        data = jpeg(Image.fromarray(picture()), **KINDS[kind])
        for end in (2, 3, 30, len(data) // 2, len(data) - 300, len(data) - 2):
            with pytest.raises(ImageError):
                decode(data[:end], 3)
        refusal(data[: len(data) // 2] + b"\xff\xd9")


def test_a_lost_middle_is_refused_whatever_the_subsampling() -> None:
    image = Image.fromarray(picture()).convert("CMYK")
    data = jpeg(image, subsampling=1)
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg(data, "CMYK")
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    refusal(data[:middle] + data[middle + 200 :])


def test_a_lost_restart_marker_is_refused() -> None:
    data = jpeg(Image.fromarray(picture()), restart_marker_rows=1)
    place = data.index(b"\xff\xd3")
    refusal(data[:place] + data[place + 2 :])
    refusal(data[:place] + b"\xff\xd5" + data[place + 2 :])


def with_empty_scans(count: int, side: int = 160) -> bytes:
    """A progressive JPEG with scans that refine nothing, each behind the first."""
    data = jpeg(Image.fromarray(picture(side)[..., 0]), progressive=True)
    end = data.rindex(b"\xff\xd9")
    empty = b"\xff\xda\x00\x08\x01\x01\x00\x3f\x3f\x10" + b"\x00"
    return data[:end] + empty * count + data[end:]


def test_the_scans_are_bounded() -> None:
    data = with_empty_scans(200_000)
    began = time.perf_counter()
    assert "more than 64 scans" in refusal(data)
    assert time.perf_counter() - began < 1


def test_scans_behind_an_end_that_is_none_are_counted() -> None:
    """A comment may hold what looks like the end of the file."""
    data = with_empty_scans(200)
    place = data.index(b"\xff\xda")
    comment = b"\xff\xfe\x00\x06\xff\xd9\xff\xd9"
    assert "more than 64 scans" in refusal(data[:place] + comment + data[place:])
    last = data.rindex(b"\xff\xda")
    assert "more than 64 scans" in refusal(data[:last] + comment + data[last:])


def test_what_looks_like_scans_behind_the_end_is_not_counted() -> None:
    data = jpeg(Image.fromarray(picture()))
    assert np.array_equal(decode(data + b"\xff\xda" * 1000, 3), decode(data, 3))


def test_segments_are_bounded_wherever_they_stand() -> None:
    """Eight million empty ones, 32 MiB, took eight seconds."""
    data = jpeg(Image.fromarray(picture()))
    end, empty = data.rindex(b"\xff\xd9"), b"\xff\xfe\x00\x02" * 2**13
    like_scans = b"\xff\xfe\x00\x84" + b"\xff\xda" * 65
    late = data[:2] + like_scans + data[2:end] + empty + data[end:]
    assert "more than 4096 segments" in refusal(late)
    assert "more than 4096 segments" in refusal(data[:2] + empty + data[2:])
    of_colour = b"\xff\xe0\x00\x02" * 2**13
    with pytest.raises(ImageError, match="more than 4096 segments"):
        decode_abbreviated(
            data[:2] + of_colour + data[2:], b"", transformed=True, fits=lambda *_: True
        )


class Counted(bytes):
    """Bytes that count how often some of them are asked for."""

    asked = 0

    def __getitem__(self, place: Any) -> Any:
        self.asked += 1
        return super().__getitem__(place)


def test_what_fills_up_a_marker_is_passed_over_at_once() -> None:
    """And not byte for byte: 32 MiB of it took seconds."""
    data = jpeg(Image.fromarray(picture()))
    filled = Counted(data[:2] + b"\xff" * 2**20 + data[2:])
    assert np.array_equal(decode(bytes(filled), 3), decode(data, 3))
    assert read_head(filled).first_scan == read_head(data).first_scan + 2**20
    assert filled.asked < 1000


def test_twelve_bits_are_refused_by_name() -> None:
    data = bytearray(jpeg(Image.fromarray(picture())))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match="3 components of 12 bits") as error:
        decode(bytes(data), 3)
    assert error.value.reason == "unknown-format"


def without_adobe(data: bytes) -> bytes:
    place = data.index(b"\xff\xee")
    return data[:place] + data[place + 2 + int.from_bytes(data[place + 2 : place + 4], "big") :]


@pytest.mark.parametrize("change", [bytes, without_adobe], ids=["adobe", "plain"])
def test_ink_means_the_same_whatever_the_subsampling(change: Callable[[bytes], bytes]) -> None:
    """Without Adobe's marker 0 is no ink, also where Pillow has to decode, which turns it round."""
    image = Image.fromarray(picture()).convert("CMYK")
    plain, *subsampled = (decode(change(jpeg(image, subsampling=s)), 3) for s in (0, 1, 2))
    for other in subsampled:
        assert np.abs(other.astype(int) - plain).mean() < 4


def oriented(*segments: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG whose left half is black, with these segments of metadata in front."""
    halves = Image.fromarray(np.repeat(np.uint8([[0, 255]]), 16, 1).repeat(32, 0))
    data = jpeg(halves)
    parts = (b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body for body in segments)
    return decode(data[:2] + b"".join(parts) + data[2:], 1)[0]


def exif(orientation: int | None) -> bytes:
    tags = Image.Exif()
    if orientation is None:
        tags[ExifTags.Base.Software] = "camera"
    else:
        tags[ExifTags.Base.Orientation] = orientation
    return tags.tobytes()


def xmp(orientation: int, quote: str = '"') -> bytes:
    text = f"<x tiff:Orientation={quote}{orientation}{quote}/>"
    return b"http://ns.adobe.com/xap/1.0/\0" + text.encode()


@pytest.mark.parametrize(
    ("segments", "counts"),
    [
        ([exif(None), xmp(3)], 3),
        ([xmp(3), exif(None)], 3),
        ([exif(None), exif(3)], 3),
        ([exif(1), xmp(3)], 1),
        ([xmp(3), exif(1)], 1),
        ([exif(3), exif(1)], 3),
        ([exif(3), exif(None)], 3),
        ([xmp(3, "'")], 3),
    ],
)
def test_the_first_orientation_counts_and_exif_before_xmp(
    segments: list[bytes], counts: int
) -> None:
    shown = oriented(*segments)
    assert (shown[16, 4] < 128) == (counts == 1)
    assert (shown[16, 28] < 128) == (counts == 3)
