"""PNGs built by hand and by independent writers: depth, colour type, transparency, damage."""

import io
import struct
import zlib
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from imaging import ImageError, decode

RANDOM = np.random.default_rng(14)
SIZE = (21, 29)
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = [(colour, bits) for colour in (0, 2, 4, 6) for bits in (1, 2, 4, 8, 16)]
DEPTHS = [(colour, bits) for colour, bits in DEPTHS if colour == 0 or bits >= 8]
ADAM7 = [
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
]  # fmt: skip
Chunk = tuple[bytes, bytes]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rows(samples: NDArray[Any], bits: int) -> bytes:
    """Rows of samples [H, W, S], the highest bit first, each behind a filter byte of none."""
    if not samples.size:
        return b""
    digits = (samples.astype(np.int64)[..., None] >> np.arange(bits)[::-1]) & 1
    packed = np.packbits(digits.reshape(len(samples), -1).astype(np.uint8), axis=1)
    return np.pad(packed, ((0, 0), (1, 0))).tobytes()


def png(
    samples: NDArray[Any],
    colour: int,
    bits: int,
    *between: Chunk,
    interlaced: bool = False,
    stream: bytes | None = None,
) -> bytes:
    height, width, _ = samples.shape
    passes = [samples[a::c, b::d] for a, b, c, d in ADAM7] if interlaced else [samples]
    if stream is None:
        stream = zlib.compress(b"".join(rows(part, bits) for part in passes))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    parts = [(b"IHDR", header), *between, (b"IDAT", stream), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def noise(bits: int, samples: int) -> NDArray[np.int64]:
    return RANDOM.integers(0, 2**bits, (*SIZE, samples))


def planes(levels: NDArray[Any]) -> NDArray[Any]:
    return np.broadcast_to(np.moveaxis(levels, -1, 0), (3, *SIZE))


def refusal(data: bytes) -> str:
    with pytest.raises(ImageError) as error:
        decode(data, 3)
    message = str(error.value)
    assert message.endswith("accepted.")
    assert "\n" not in message
    return message


# --- depth and transparency -------------------------------------------------------------------


def test_every_depth_and_colour_type() -> None:
    for (colour, bits), interlaced in product(DEPTHS, [False, True]):
        samples = noise(bits, SAMPLES[colour])
        white = 2**bits - 1
        shown = samples / white
        if colour in (4, 6):
            shown = shown[..., :-1] * shown[..., -1:]
        data = png(samples, colour, bits, interlaced=interlaced)
        assert np.array_equal(decode(data, 3), planes(np.rint(255 * shown)))


def test_a_transparent_grey() -> None:
    for channels, bits, interlaced in product([1, 3], [1, 2, 4, 8, 16], [False, True]):
        samples = noise(bits, 1)
        key = int(samples[3, 4, 0])
        expected = np.where(samples == key, 0, np.rint(samples * 255 / (2**bits - 1)))
        for stored in {key, key | 0xFFFF << bits & 0xFFFF}:  # only the lowest bits count
            data = png(
                samples, 0, bits, (b"tRNS", struct.pack(">H", stored)), interlaced=interlaced
            )
            assert np.array_equal(decode(data, channels), planes(expected)[:channels])


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour(bits: int) -> None:
    samples = noise(bits, 3)
    key = samples[5, 6].copy()
    samples[7, 8] = key + np.array([0, 0, 1 if key[2] < 9 else -1])  # nearly, but not the same
    data = png(samples, 2, bits, (b"tRNS", struct.pack(">3H", *key)))
    shown = np.where((samples == key).all(-1, keepdims=True), 0, samples)
    pixels = decode(data, 3)
    assert np.array_equal(pixels, planes(np.rint(shown * 255 / (2**bits - 1))))
    assert not pixels[:, 5, 6].any()
    assert pixels[:, 7, 8].any()


def test_a_palette() -> None:
    """Colours without an entry in tRNS are opaque."""
    for bits, opaque, interlaced in product([1, 2, 4, 8], [0, 1, 2], [False, True]):
        indices = noise(bits, 1)
        palette = RANDOM.integers(0, 256, (2**bits, 3))
        opacity = RANDOM.integers(0, 256, 2**bits - opaque if opaque else 0)
        chunks = [(b"PLTE", palette.astype(np.uint8).tobytes())]
        if len(opacity):
            chunks.append((b"tRNS", opacity.astype(np.uint8).tobytes()))
        full = np.pad(opacity, (0, 2**bits - len(opacity)), constant_values=255)
        table = np.rint(palette * full[:, None] / 255)
        data = png(indices, 3, bits, *chunks, interlaced=interlaced)
        assert np.array_equal(decode(data, 3), planes(table[indices[..., 0]]))


def test_a_palette_that_lacks_a_colour_is_refused() -> None:
    samples = np.full((2, 2, 1), 2)
    assert "palette lacks" in refusal(png(samples, 3, 8, (b"PLTE", bytes(6))))


def test_by_opencv() -> None:
    for dtype, channels in product([np.uint8, np.uint16], [1, 3, 4]):
        white = np.iinfo(dtype).max
        samples = RANDOM.integers(0, white + 1, (*SIZE, channels)).astype(dtype)
        order = [2, 1, 0, 3][:channels] if channels > 1 else [0]
        ok, data = cv2.imencode(".png", samples[..., order])
        assert ok
        shown = samples / white
        if channels == 4:
            shown = shown[..., :3] * shown[..., 3:]
        assert np.array_equal(decode(data.tobytes(), 3), planes(np.rint(255 * shown)))


def test_by_pillow_with_its_filters() -> None:
    for channels, mode in product([1, 3], ["1", "L", "LA", "P", "RGB", "RGBA"]):
        y, x = np.mgrid[0:64, 0:80]
        smooth = Image.fromarray(
            np.stack([2 * x, 3 * y, x + y, 4 * x], -1).astype(np.uint8), "RGBA"
        )
        image = (smooth if mode.endswith("A") else smooth.convert("RGB")).convert(mode)
        file = io.BytesIO()
        image.save(file, "PNG")
        laid = np.asarray(image.convert("RGBA")).astype(np.int64)
        laid = laid[..., :3] * laid[..., 3:]
        unit = 255**2
        if channels == 1:
            laid, unit = (laid @ [19595, 38470, 7471])[..., None], unit * 2**16
        expected = (laid * 510 + unit) // (2 * unit)
        assert np.array_equal(decode(file.getvalue(), channels), np.moveaxis(expected, -1, 0))


def test_sixteen_bits_with_filters() -> None:
    """Opened as Pillow reads them, they lose their lower half."""
    y, x = np.mgrid[0:64, 0:80]
    samples = np.stack([700 * x, 900 * y, 301 * (x + y)], -1).astype(np.uint16)
    ok, data = cv2.imencode(".png", samples, [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH])
    assert ok
    expected = np.rint(samples[..., ::-1] / 257).transpose(2, 0, 1)
    assert np.array_equal(decode(data.tobytes(), 3), expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_of_colour_is_rounded_once(bits: int) -> None:
    samples = noise(bits, 3)
    white = 2**bits - 1
    luma = samples @ np.array([19595, 38470, 7471])
    expected = (2 * 255 * luma + 65536 * white) // (2 * 65536 * white)
    assert np.array_equal(decode(png(samples, 2, bits), 1)[0], expected)


# --- damage -----------------------------------------------------------------------------------

SMALL = png(RANDOM.integers(0, 256, (5, 6, 3)), 2, 8, (b"tEXt", b"Comment\0hello"))


def test_no_bit_can_be_flipped() -> None:
    for bit in range(8 * len(SMALL)):
        damaged = bytearray(SMALL)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ImageError):
            decode(bytes(damaged), 3)
            pytest.fail(f"bit {bit} may be flipped")


def test_the_inner_checksum_is_verified_too() -> None:
    samples = noise(8, 1)
    stream = bytearray(zlib.compress(rows(samples, 8)))
    stream[-1] ^= 1
    assert "broken" in refusal(png(samples, 0, 8, stream=bytes(stream)))


@pytest.mark.parametrize("change", [-1, 1])
def test_other_than_the_number_of_pixels_is_refused(change: int) -> None:
    samples = noise(8, 1)
    raw = rows(samples, 8)
    stream = zlib.compress(raw[:-1] if change < 0 else raw + b"\0")
    assert "number of pixels" in refusal(png(samples, 0, 8, stream=stream))


def test_pixels_in_many_parts() -> None:
    samples = noise(8, 3)
    whole = png(samples, 2, 8)
    stream = zlib.compress(rows(samples, 8))
    parts = b"".join(chunk(b"IDAT", stream[i : i + 7]) for i in range(0, len(stream), 7))
    assert np.array_equal(decode(whole.replace(chunk(b"IDAT", stream), parts), 3), decode(whole, 3))


@pytest.mark.parametrize(("stated", "counts"), [(None, 3), (1, 1)])
def test_xmp_counts_where_exif_states_no_orientation(stated: int | None, counts: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "camera"
    if stated is not None:
        exif[ExifTags.Base.Orientation] = stated
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="3"/>')
    file = io.BytesIO()
    ramp = np.arange(32, dtype=np.uint8).reshape(4, 8)
    Image.fromarray(ramp).save(file, "PNG", exif=exif, pnginfo=text)
    shown = ramp[::-1, ::-1] if counts == 3 else ramp
    assert np.array_equal(decode(file.getvalue(), 1)[0], shown)


def test_of_several_exif_the_first_that_states_an_orientation_counts() -> None:
    def exif(tag: int, value: object) -> Chunk:
        tags = Image.Exif()
        tags[tag] = value
        return b"eXIf", tags.tobytes()[6:]

    samples = noise(8, 1)
    others = [exif(ExifTags.Base.Orientation, orientation) for orientation in (3, 6)]
    data = png(samples, 0, 8, exif(ExifTags.Base.Software, "camera"), *others)
    assert np.array_equal(decode(data, 1)[0], samples[::-1, ::-1, 0])


def test_a_second_palette_or_transparency_is_refused() -> None:
    """libpng refuses the one, and takes the first of the other."""
    palette, key = (b"PLTE", bytes(range(6))), (b"tRNS", bytes(2))
    indices = np.zeros((*SIZE, 1), np.uint8)
    assert "'PLTE' twice" in refusal(png(indices, 3, 8, palette, palette))
    assert "'tRNS' twice" in refusal(png(indices, 0, 8, key, key))


def test_a_critical_chunk_that_is_not_known_is_refused() -> None:
    assert "'ABCD' is not known" in refusal(png(noise(8, 1), 0, 8, (b"ABCD", b"")))


def test_too_many_chunks_are_refused() -> None:
    data = png(noise(8, 1), 0, 8, *[(b"teST", b"")] * 70_000)
    assert "chunks" in refusal(data)
