import io
import struct
import zlib
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from imaging import FitPolicy, GridSymmetry, ImageError, decode, fit, grid_symmetries

LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
}
FORMATS: dict[str, dict[str, Any]] = {**LOSSLESS, "JPEG": {"quality": 95}}

# What a viewer does to the stored pixels, by EXIF orientation (EXIF 2.32, table 6).
DISPLAY = {
    1: GridSymmetry(False, 0),
    2: GridSymmetry(True, 0),
    3: GridSymmetry(False, 2),
    4: GridSymmetry(True, 2),
    5: GridSymmetry(True, 1),
    6: GridSymmetry(False, 3),
    7: GridSymmetry(True, 3),
    8: GridSymmetry(False, 1),
}


def picture(height: int = 30, width: int = 40) -> NDArray[np.uint8]:
    """A smooth RGB picture without any symmetry, so that JPEG keeps it well."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([5 * x, 7 * y, 2 * x + 3 * y]).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def colour(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))


def reason(data: bytes, **limits: int) -> str:
    with pytest.raises(ImageError) as refusal:
        decode(data, 3, **limits)
    message = str(refusal.value)
    assert message.endswith("accepted.")
    assert "\n" not in message
    return refusal.value.reason


# --- what is accepted -------------------------------------------------------------------------


def test_a_lossless_file_gives_its_very_pixels() -> None:
    for kind in LOSSLESS:
        pixels = decode(encode(colour(picture()), kind, **LOSSLESS[kind]), 3)
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, picture())


def test_a_grey_file_gives_its_very_pixels_in_one_channel_or_three() -> None:
    for kind in LOSSLESS:
        grey = picture()[:1]
        data = encode(Image.fromarray(grey[0]), kind, **LOSSLESS[kind])
        assert np.array_equal(decode(data, 1), grey)
        assert np.array_equal(decode(data, 3), np.repeat(grey, 3, axis=0))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_close_to_what_was_encoded(channels: Any) -> None:
    original = colour(picture())
    pixels = decode(encode(original, "JPEG", quality=98, subsampling=0), channels)
    expected = np.atleast_3d(np.asarray(original.convert("L" if channels == 1 else "RGB")))
    assert pixels.shape == (channels, 30, 40)
    assert np.abs(pixels - np.moveaxis(expected, -1, 0).astype(int)).mean() < 2


def test_the_exif_orientation_is_applied() -> None:
    for kind, orientation in product(["PNG", "WEBP", "TIFF"], DISPLAY):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        stored = DISPLAY[orientation].inverse()(picture())
        data = encode(colour(stored), kind, exif=exif, **LOSSLESS[kind])
        assert np.array_equal(decode(data, 3), picture())


def test_the_exif_orientation_of_a_jpeg_is_applied() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = colour(picture())
    rotated = decode(encode(image, "JPEG", exif=exif), 3)
    assert np.array_equal(rotated, DISPLAY[6](decode(encode(image, "JPEG"), 3)))


def stating(kind: str, xmp: str) -> bytes:
    """A picture with a packet of XMP."""
    if kind == "WEBP":
        return encode(colour(picture()), kind, xmp=xmp.encode(), **LOSSLESS[kind])
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp, zip=True)
    return encode(colour(picture()), kind, pnginfo=text)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_xmp_states_an_orientation_in_every_way_of_xml(kind: str) -> None:
    for xmp in ["<x tiff:Orientation='6'/>", "<tiff:Orientation> 6 </tiff:Orientation>"]:
        assert np.array_equal(decode(stating(kind, xmp), 3), DISPLAY[6](picture()))


def test_damaged_notes_are_no_reason_to_refuse_pixels() -> None:
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n4\nno hex")
    files = [
        encode(colour(picture()), "WEBP", exif=b"Exif\0\0no EXIF", **LOSSLESS["WEBP"]),
        encode(colour(picture()), "PNG", pnginfo=text),
    ]
    for data in files:
        assert np.array_equal(decode(data, 3), picture())


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_to_eight(kind: str) -> None:
    samples = np.arange(2**16).reshape(256, 256)
    data = encode(Image.fromarray(samples.astype(np.uint16)), kind)
    assert np.array_equal(decode(data, 1)[0], np.rint(samples / 257))
    assert decode(data, 3).shape == (3, 256, 256)


def test_a_transparent_level_of_sixteen_bit_grey_is_black() -> None:
    samples = np.array([[0, 30000, 65535]], np.uint16)
    data = encode(Image.fromarray(samples), "PNG", transparency=30000)
    assert decode(data, 1).tolist() == [[[0, 0, 255]]]


def test_alpha_is_laid_on_black() -> None:
    for pixel, mode in [((200, 100, 50, 51), "RGBA"), ((200, 51), "LA"), ((200, 51), "PA")]:
        data = encode(Image.new(mode, (3, 2), pixel), "TIFF" if mode == "PA" else "PNG")
        expected = np.asarray(Image.new(mode, (1, 1), pixel).convert("RGBA"))[0, 0, :3] * 0.2
        assert np.array_equal(decode(data, 3), np.tile(expected[:, None, None], (1, 2, 3)))


def test_a_transparent_palette_entry_is_black() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([250, 0, 0, 0, 250, 0])
    image.putpixel((1, 0), 1)
    pixels = decode(encode(image, "PNG", transparency=0), 3)
    assert pixels[:, 0].T.tolist() == [[0, 0, 0], [0, 250, 0]]


def test_other_colour_models_are_converted() -> None:
    for mode, kind in [("1", "PNG"), ("P", "BMP"), ("CMYK", "JPEG")]:
        image = colour(picture()).convert(mode)
        data = encode(image, kind, **FORMATS[kind])
        assert decode(data, 1).shape == (1, 30, 40)
        difference = decode(data, 3) - np.moveaxis(np.asarray(image.convert("RGB")), -1, 0).astype(
            int
        )
        assert np.abs(difference).mean() < 2


def test_of_a_multi_picture_jpeg_the_first_is_taken() -> None:
    first = colour(picture())
    data = encode(first, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30))])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert np.array_equal(decode(data, 3), decode(encode(first, "JPEG"), 3))


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_rotated_file_gives_the_rotated_input(kind: str, channels: Any) -> None:
    policy = FitPolicy(28)

    def network_input(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return fit(decode(encode(colour(pixels), kind, **LOSSLESS[kind]), channels), policy)

    upright = network_input(picture(57, 40))
    for g in grid_symmetries("D4"):
        assert np.array_equal(network_input(g(picture(57, 40))), g(upright))


# --- what is refused --------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    """A PNG of that size whose pixels are garbage: decoding them would say "broken"."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"?") + chunk(b"IEND", b"")
    )


def bmp_header(width: int, height: int) -> bytes:
    return struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, width, height, 1, 24, *[0] * 6
    )


def test_nothing_is_not_an_image() -> None:
    assert reason(b"") == "empty"


def test_another_format_is_refused() -> None:
    for data in [
        b"This is a text file that someone called picture.png.\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encode(Image.new("L", (4, 4)), "GIF"),
        encode(Image.new("L", (4, 4)), "PPM"),
        encode(Image.new("F", (4, 4)), "TIFF"),
        encode(Image.new("I", (4, 4)), "TIFF"),
    ]:
        assert reason(data) == "unknown-format"


def test_a_bomb_is_refused_by_its_header() -> None:
    for (width, height), header in product(
        [(60_000, 60_000), (10_000, 10_000), (9_000, 9_000), (2**16 + 1, 1), (1, 2**16 + 1)],
        [png_header, bmp_header],
    ):
        assert reason(header(width, height)) == "too-large"
        assert reason(header(100, 100)) == "broken"


def test_the_limit_counts_pixels() -> None:
    data = encode(colour(picture()), "PNG")
    assert decode(data, 1, max_pixels=1200).shape == (1, 30, 40)
    assert reason(data, max_pixels=1199) == "too-large"


def test_a_file_that_is_cut_off_is_refused() -> None:
    for kind in FORMATS:
        noisy = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
        data = encode(colour(noisy), kind, **FORMATS[kind])
        for part in range(1, 10):
            assert reason(data[: part * len(data) // 10]) in {"broken", "unknown-format"}
        assert reason(data[: len(data) // 2]) == "broken" or kind in {"TIFF", "WEBP"}


def test_several_frames_are_refused() -> None:
    for kind in ["PNG", "WEBP", "TIFF"]:
        frames = [Image.new("RGB", (8, 8), c) for c in ("red", "lime", "blue")]
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert reason(data) == "animated"


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_a_damaged_file_gives_pixels_or_a_refusal(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(encode(colour(picture(9, 7)), kind, **FORMATS[kind]))
    places = st.integers(0, len(damaged) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(damaged), 3, max_pixels=10**6)
    except ImageError as refusal:
        assert refusal.reason != "empty"
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape[0] == 3
