"""TIFFs by writers that share no code with the reader, and TIFFs that nobody should write."""

import io
import struct
import subprocess
import sys
import time
import zlib
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from imaging import GridSymmetry, ImageError, decode

RANDOM = np.random.default_rng(14)
COMPRESSIONS = [None, "zlib", "lzw", "packbits", "zstd", "lzma"]
SIZE = (37, 53)


def noise(bits: int, *shape: int) -> NDArray[Any]:
    dtype = np.uint8 if bits <= 8 else np.uint16
    return RANDOM.integers(0, 2**bits, shape, dtype=dtype)


def tiff(samples: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def nearest(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest level; no fraction of the tests lies in the middle between two."""
    return np.rint(255 * fraction)


def planes(samples: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(samples, -1, 0)


def sentence(data: bytes, reason: str = "unknown-format") -> str:
    with pytest.raises(ImageError) as refusal:
        decode(data, 3)
    assert refusal.value.reason == reason, refusal.value
    message = str(refusal.value)
    assert message.endswith("accepted.")
    assert "\n" not in message
    return message


def written(entries: dict[int, tuple[int, int, int]], pixels: bytes, order: str = "<") -> bytes:
    """A TIFF by hand: tag to type, count and value; the pixels lie from byte 8 on."""
    start = 8 + len(pixels) + len(pixels) % 2
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    body = pixels + b"\0" * (len(pixels) % 2) + struct.pack(f"{order}H", len(entries))
    for tag, (kind, count, value) in sorted(entries.items()):
        packed = (
            struct.pack(f"{order}HH", value, 0)
            if kind == 3 and count <= 2
            else struct.pack(f"{order}I", value)
        )
        body += struct.pack(f"{order}HHI", tag, kind, count) + packed
    return head + body + b"\0\0\0\0"


def grey_entries(width: int, height: int, bits: int, size: int) -> dict[int, tuple[int, int, int]]:
    return {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, bits),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (4, 1, height),
        279: (4, 1, size),
    }


def packed(samples: NDArray[Any], bits: int) -> bytes:
    """Rows of samples, the highest bit first, each row from a whole byte on."""
    digits = (samples[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(digits.reshape(len(samples), -1).astype(np.uint8), axis=1).tobytes()


# --- depth, photometric interpretation, layout ------------------------------------------------


def test_grey_of_every_depth() -> None:
    for bits, order in product(range(1, 17), ["<", ">"]):
        samples = noise(bits, *SIZE)
        pixels = samples.astype(f"{order}u2").tobytes() if bits == 16 else packed(samples, bits)
        data = written(grey_entries(53, 37, bits, len(pixels)), pixels, order)
        assert np.array_equal(decode(data, 1)[0], nearest(samples / (2**bits - 1)))


def test_jpeg_of_the_old_kind_is_named() -> None:
    """It was called YCbCr without JPEG."""
    entries = grey_entries(8, 8, 8, 64) | {259: (3, 1, 6), 262: (3, 1, 6), 277: (3, 1, 3)}
    assert "compression 6, JPEG as TIFF 6.0 first had it" in sentence(written(entries, bytes(64)))


def test_grey_by_tifffile() -> None:
    for order, bits, photometric, compression in product(
        ["<", ">"], [8, 16], ["minisblack", "miniswhite"], COMPRESSIONS
    ):
        samples = noise(bits, *SIZE)
        data = tiff(samples, photometric=photometric, compression=compression, byteorder=order)
        fraction = samples / (2**bits - 1)
        expected = nearest(1 - fraction if photometric == "miniswhite" else fraction)
        assert np.array_equal(decode(data, 1)[0], expected)
        assert np.array_equal(decode(data, 3), np.stack([expected] * 3))


def test_white_is_zero_of_other_depths() -> None:
    for bits in [1, 4, 12]:
        samples = noise(bits, *SIZE)
        pixels = packed(samples, bits)
        entries = grey_entries(53, 37, bits, len(pixels)) | {262: (3, 1, 0)}
        assert np.array_equal(
            decode(written(entries, pixels), 1)[0], nearest(1 - samples / (2**bits - 1))
        )


def test_packed_colour_by_tifffile() -> None:
    for bits in [10, 12, 14]:
        samples = noise(bits, *SIZE, 3)
        data = tiff(samples, photometric="rgb", bitspersample=bits)
        assert np.array_equal(decode(data, 3), planes(nearest(samples / (2**bits - 1))))


def test_colour_by_tifffile() -> None:
    for options, bits, planar, compression in product(
        [{}, {"rowsperstrip": 5}, {"tile": (16, 32)}], [8, 16], ["contig", "separate"], COMPRESSIONS
    ):
        samples = noise(bits, *SIZE, 3)
        stored = planes(samples) if planar == "separate" else samples
        data = tiff(
            stored, photometric="rgb", planarconfig=planar, compression=compression, **options
        )
        assert np.array_equal(decode(data, 3), planes(nearest(samples / (2**bits - 1))))


def test_horizontal_differencing() -> None:
    for bits, compression, order, bigtiff in product(
        [8, 16], ["zlib", "lzw", "zstd"], ["<", ">"], [False, True]
    ):
        samples = noise(bits, *SIZE, 3)
        data = tiff(
            samples,
            photometric="rgb",
            compression=compression,
            predictor=True,
            byteorder=order,
            bigtiff=bigtiff,
        )
        assert np.array_equal(decode(data, 3), planes(nearest(samples / (2**bits - 1))))


def test_planes_as_tifffile_guesses_them() -> None:
    samples = noise(16, 3, *SIZE)
    data = tiff(samples, photometric="rgb")
    assert np.array_equal(decode(data, 3), nearest(samples / 65535))


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_of_colour_is_rounded_once(bits: int) -> None:
    samples = noise(bits, *SIZE, 3).astype(np.int64)
    white = 2**bits - 1
    luma = samples @ np.array([19595, 38470, 7471])
    expected = (2 * 255 * luma + 65536 * white) // (2 * 65536 * white)
    data = tiff(samples.astype(np.uint8 if bits == 8 else np.uint16), photometric="rgb")
    assert np.array_equal(decode(data, 1)[0], expected)


def test_cmyk() -> None:
    for bits, planar in product([8, 16], ["contig", "separate"]):
        samples = noise(bits, *SIZE, 4)
        stored = planes(samples) if planar == "separate" else samples
        data = tiff(stored, photometric="separated", planarconfig=planar)
        light = 1 - samples / (2**bits - 1)
        assert np.array_equal(decode(data, 3), planes(nearest(light[..., :3] * light[..., 3:])))


def test_extra_samples() -> None:
    for colours, bits, kind, planar in product(
        [1, 3], [8, 16], ["unassalpha", "assocalpha", "unspecified"], ["contig", "separate"]
    ):
        samples = noise(bits, *SIZE, colours + 1)
        stored = planes(samples) if planar == "separate" else samples
        photometric = "rgb" if colours == 3 else "minisblack"
        data = tiff(stored, photometric=photometric, planarconfig=planar, extrasamples=[kind])
        fraction = samples / (2**bits - 1)
        shown = fraction[..., :colours] * (fraction[..., colours:] if kind == "unassalpha" else 1)
        expected = planes(nearest(shown))
        assert np.array_equal(decode(data, 3), np.broadcast_to(expected, (3, *SIZE)))


def test_colour_by_opencv_and_by_pillow() -> None:
    samples = noise(16, *SIZE, 3)
    ok, data = cv2.imencode(".tiff", samples[..., ::-1])
    assert ok
    assert np.array_equal(decode(data.tobytes(), 3), planes(nearest(samples / 65535)))
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "raw", "tiff_adobe_deflate"):
        file = io.BytesIO()
        Image.fromarray(noise(8, *SIZE, 3)).save(file, "TIFF", compression=compression)
        shown = np.asarray(Image.open(file).convert("RGB"))
        assert np.array_equal(decode(file.getvalue(), 3), planes(shown))


def test_facsimiles() -> None:
    for compression in ["group3", "group4", "tiff_ccitt", "raw", "packbits"]:
        bits = RANDOM.random(SIZE) < 0.3
        file = io.BytesIO()
        Image.fromarray(bits).save(file, "TIFF", compression=compression)
        assert np.array_equal(decode(file.getvalue(), 1)[0], 255 * bits)


def test_a_damaged_facsimile_is_refused() -> None:
    """libtiff goes on behind a code that there is not, and says so to its error handler alone."""
    random = np.random.default_rng(4)
    file = io.BytesIO()
    Image.fromarray(random.random(SIZE) < 0.3).save(file, "TIFF", compression="group4")
    data = bytearray(file.getvalue())
    start = Image.open(file).tag_v2[273][0]
    data[start + 20 : start + 60] = random.bytes(40)
    assert "damaged" in sentence(bytes(data), "broken")


@pytest.mark.parametrize("fill", [1, 2])
def test_bits_in_either_order(fill: int) -> None:
    samples = noise(1, *SIZE)
    pixels = packed(samples, 1)
    if fill == 2:
        pixels = np.packbits(
            np.unpackbits(np.frombuffer(pixels, np.uint8)).reshape(-1, 8)[:, ::-1]
        ).tobytes()
    entries = grey_entries(53, 37, 1, len(pixels)) | {266: (3, 1, fill)}
    assert np.array_equal(decode(written(entries, pixels), 1)[0], 255 * samples)


def test_jpeg_within() -> None:
    for options, colour in product([{}, {"tile": (32, 32)}, {"rowsperstrip": 16}], [False, True]):
        y, x = np.mgrid[0:64, 0:96]
        samples = (np.stack([2 * x, 3 * y, x + y], -1) if colour else x + 2 * y).astype(np.uint8)
        data = tiff(
            samples, photometric="rgb" if colour else "minisblack", compression="jpeg", **options
        )
        expected = planes(samples) if colour else samples[None]
        assert np.abs(decode(data, 3) - expected.astype(int)).mean() < 2


@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_within_by_libtiff(colour: bool) -> None:
    """Pillow writes the tables once, beside the strips."""
    y, x = np.mgrid[0:64, 0:96]
    samples = (np.stack([2 * x, 3 * y, x + y], -1) if colour else x + 2 * y).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(samples).save(file, "TIFF", compression="jpeg", quality=95)
    expected = planes(samples) if colour else samples[None]
    assert np.abs(decode(file.getvalue(), 3) - expected.astype(int)).mean() < 2


def test_ycbcr_without_subsampling() -> None:
    samples = noise(8, *SIZE, 3)
    shown = np.asarray(Image.fromarray(samples, "YCbCr").convert("RGB"))
    assert np.array_equal(decode(tiff(samples, photometric="ycbcr"), 3), planes(shown))


def test_subsampled_ycbcr_is_refused() -> None:
    data = bytearray(tiff(noise(8, *SIZE, 3), photometric="ycbcr"))
    place = data.index(struct.pack("<HHIHH", 530, 3, 2, 1, 1))
    data[place : place + 12] = struct.pack("<HHIHH", 530, 3, 2, 2, 2)
    assert "subsampled YCbCr" in sentence(bytes(data))


def test_webp_within() -> None:
    samples = noise(8, 64, 64, 3)
    data = tiff(samples, photometric="rgb", compression="webp", compressionargs={"lossless": True})
    assert np.array_equal(decode(data, 3), planes(samples))


def test_a_palette_is_rounded() -> None:
    for writer in ["sixteen bits", "upper half", "lower half"]:
        levels = noise(16 if writer == "sixteen bits" else 8, 3, 256).astype(np.int64)
        stored = levels * 256 if writer == "upper half" else levels
        indices = noise(8, *SIZE)
        data = tiff(indices, photometric="palette", colormap=stored.astype(np.uint16))
        expected = nearest(levels / 65535) if writer == "sixteen bits" else levels
        assert np.array_equal(decode(data, 3), expected[:, indices])


def test_the_alpha_beside_a_palette_is_rounded_with_it() -> None:
    for bits in [4, 5, 6, 7, 8]:
        most = 2**bits - 1
        samples = noise(bits, 32, 48, 2)
        palette = noise(16, 3, most + 1)
        pixels = packed(samples.reshape(32, -1), bits)
        pixels += b"\0" * (len(pixels) % 2)
        entries = grey_entries(48, 32, bits, len(pixels)) | {
            262: (3, 1, 3),
            277: (3, 1, 2),
            320: (3, palette.size, 8 + len(pixels)),
            338: (3, 1, 2),
        }
        data = written(entries, pixels + palette.astype("<u2").tobytes())
        laid = palette[:, samples[..., 0]].astype(np.int64) * samples[..., 1]
        unit = 65535 * most
        assert np.array_equal(decode(data, 3), (laid * 510 + unit) // (2 * unit))


# --- the white level --------------------------------------------------------------------------


def test_fewer_bits_in_a_container_of_sixteen() -> None:
    for bits, tag in product([9, 10, 12, 14], [281, 341]):
        samples = noise(bits, *SIZE)
        data = tiff(samples, extratags=[(tag, 3, 1, 2**bits - 1, True)])
        assert np.array_equal(decode(data, 1)[0], nearest(samples / (2**bits - 1)))


def test_a_maximum_that_is_no_depth_is_mere_statistics() -> None:
    samples = noise(12, *SIZE)
    data = tiff(samples, extratags=[(281, 3, 1, 4000, True)])
    assert np.array_equal(decode(data, 1)[0], nearest(samples / 65535))


def test_significant_bits_of_ome() -> None:
    samples = noise(12, *SIZE)
    data = tiff(samples, ome=True, metadata={"SignificantBits": 12})
    assert b'SignificantBits="12"' in data
    assert np.array_equal(decode(data, 1)[0], nearest(samples / 4095))


def test_samples_above_the_stated_white_are_refused() -> None:
    data = tiff(np.array([[4095, 4096]], np.uint16), extratags=[(281, 3, 1, 4095, True)])
    assert "a white level of 4095, and samples up to 4096" in sentence(data)


# --- which picture ----------------------------------------------------------------------------


def test_overviews_and_masks_are_passed_over() -> None:
    for first, kind in product([False, True], [1, 4, 5]):
        picture, other = noise(8, *SIZE), noise(8, 18, 26)
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            pages = [(picture, 0), (other, 1)]
            for samples, subfile in reversed(pages) if first else pages:
                writer.write(samples, subfiletype=subfile, metadata=None)
        stored, changed = (struct.pack("<HHII", 254, 4, 1, value) for value in (1, kind))
        assert stored in file.getvalue()
        data = file.getvalue().replace(stored, changed)
        assert np.array_equal(decode(data, 1)[0], picture)


def test_two_pages_are_refused_whatever_else_there_is() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for subfile in (0, 1, 2):
            writer.write(noise(8, *SIZE), subfiletype=subfile, metadata=None)
    assert "several frames" in sentence(file.getvalue(), "animated")


def test_a_stack_of_which_one_page_is_listed_is_refused() -> None:
    data = tiff(noise(8, 4, *SIZE), imagej=True, truncate=True)
    assert "a stack of 4 images" in sentence(data)


def test_overviews_alone_are_refused() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(2):
            writer.write(noise(8, *SIZE), subfiletype=1, metadata=None)
    assert "nothing but overviews" in sentence(file.getvalue())


def test_the_orientation_is_applied() -> None:
    for orientation in range(1, 9):
        shown = {1: (False, 0), 2: (True, 0), 3: (False, 2), 4: (True, 2)} | {
            5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1)
        }  # fmt: skip
        samples = noise(16, *SIZE)
        data = tiff(samples, extratags=[(274, 3, 1, orientation, True)])
        rotated = GridSymmetry(*shown[orientation])(samples)
        assert np.array_equal(decode(data, 1)[0], nearest(rotated / 65535))


# --- what is refused by name ------------------------------------------------------------------


def test_a_layout_that_would_be_misread_is_named() -> None:
    for samples, options, named in [
        (np.zeros(SIZE, np.int8), {}, "8-bit signed samples"),
        (np.zeros(SIZE, np.int16), {}, "16-bit signed samples"),
        (np.zeros(SIZE, np.float16), {}, "16-bit floating-point samples"),
        (np.zeros(SIZE, np.float32), {}, "32-bit floating-point samples"),
        (np.zeros(SIZE, np.uint32), {}, "32-bit unsigned samples"),
        (np.zeros(SIZE, np.complex64), {}, "64-bit complex floating-point samples"),
        (np.zeros((*SIZE, 3), np.uint8), {"photometric": "cielab"}, "CIE L*a*b*"),
        (
            np.zeros((*SIZE, 3), np.uint8),
            {
                "photometric": "ycbcr",
                "extratags": [(532, 5, 6, (15, 1, 235, 1) + (128, 1, 240, 1) * 2, True)],
            },
            "full range",
        ),
        (np.zeros(SIZE, np.uint16), {"photometric": "cfa"}, "colour filter array"),
        (
            np.zeros((*SIZE, 5), np.uint16),
            {"photometric": "minisblack", "planarconfig": "contig"},
            "several bands",
        ),
        (np.zeros(SIZE, np.uint8), {"compression": "jpeg2000"}, "compression 34712"),
        (np.zeros(SIZE, np.uint8), {"compression": "lerc"}, "compression 34887"),
    ]:
        assert named in sentence(tiff(samples, **options))


def test_an_alpha_that_is_multiplied_in_where_zero_is_white_is_refused() -> None:
    """What is transparent would be white, and is to be black."""
    stored = np.zeros((9, 7, 2), np.uint8)
    data = tiff(stored, photometric="miniswhite", extrasamples=["assocalpha"])
    assert "WhiteIsZero, with an associated alpha" in sentence(data)
    data = tiff(stored, photometric="miniswhite", extrasamples=["unassalpha"])
    assert not decode(data, 1).any()


def test_different_depths_are_refused() -> None:
    data = bytearray(written(grey_entries(4, 4, 8, 32) | {277: (3, 1, 2)}, bytes(32)))
    place = data.index(struct.pack("<HHI", 258, 3, 1))
    data[place : place + 12] = struct.pack("<HHIHH", 258, 3, 2, 8, 16)
    assert "different depths, 8, 16 bits" in sentence(bytes(data))


def test_no_photometric_interpretation_is_refused() -> None:
    entries = grey_entries(4, 4, 8, 16)
    del entries[262]
    assert "no photometric interpretation" in sentence(written(entries, bytes(16)))


# --- damage and cost --------------------------------------------------------------------------


def test_a_cut_off_file_is_refused() -> None:
    for compression in COMPRESSIONS:
        data = tiff(noise(8, 64, 64), compression=compression, metadata=None)
        for part in range(8):
            sentence(data[: 8 + part * (len(data) - 8) // 8], "broken")


@pytest.mark.slow
def test_damage_is_silent_on_the_error_stream() -> None:
    """libtiff would write a line for each strip past the log."""
    for compression, garbage in [
        ("zlib", b"\x7f"),
        ("lzw", b"\x7f"),
        ("zstd", b"\x7f"),
        ("packbits", b"\x80"),
    ]:
        data = bytearray(tiff(noise(8, 2000, 8), compression=compression, rowsperstrip=1))
        with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
            page = file.pages[0]
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                data[offset : offset + count] = garbage * count
        script = (
            "import sys; from imaging import decode\n"
            "try: decode(sys.stdin.buffer.read(), 1)\n"
            "except ValueError as error: print(error)"
        )
        run = subprocess.run([sys.executable, "-c", script], input=bytes(data), capture_output=True)
        assert run.stderr == b""
        assert b"broken" in run.stdout


def test_tiles_of_one_pixel_are_refused_at_once() -> None:
    side = 512
    table = struct.pack(f"<{side * side}I", *[8] * side * side)
    entries = {
        256: (4, 1, side),
        257: (4, 1, side),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        277: (3, 1, 1),
        322: (4, 1, 1),
        323: (4, 1, 1),
        324: (4, side * side, 8),
        325: (4, side * side, 8),
    }
    began = time.perf_counter()
    assert "tiles of 1 x 1 pixels" in sentence(written(entries, table))
    assert time.perf_counter() - began < 1


def test_a_chain_that_runs_in_a_circle_is_refused() -> None:
    data = bytearray(tiff(noise(8, 4, 4), subfiletype=1, metadata=None))
    start = struct.unpack("<I", data[4:8])[0]
    entries = struct.unpack("<H", data[start : start + 2])[0]
    place = start + 2 + 12 * entries
    data[place : place + 4] = struct.pack("<I", start)
    assert "circle" in sentence(bytes(data), "broken")


def test_a_header_that_promises_too_much_is_refused() -> None:
    entries = grey_entries(60_000, 60_000, 8, 16)
    sentence(written(entries, bytes(16)), "too-large")
    entries = grey_entries(4, 4, 8, 16) | {322: (4, 1, 65_536), 323: (4, 1, 65_536)}
    assert "far larger" in sentence(written(entries | {324: (4, 1, 8), 325: (4, 1, 16)}, bytes(16)))


def striped(compression: int, strip: bytes, starts: list[int], lengths: list[int]) -> bytes:
    """An image of 16 grey pixels a row, each row a strip, which may lie in one another."""
    count = len(starts)
    pixels = strip + struct.pack(f"<{2 * count}I", *starts, *lengths)
    entries = grey_entries(16, count, 8, 0) | {
        259: (3, 1, compression),
        273: (4, count, 8 + len(strip)),
        278: (4, 1, 1),
        279: (4, count, 8 + len(strip) + 4 * count),
    }
    return written(entries, pixels)


def test_strips_in_one_place_do_not_make_a_small_file_huge() -> None:
    """A file of 1 MiB became 64 GiB."""
    strip = b"\x80" * 2**16
    data = striped(32773, strip, [8] * 1000, [len(strip)] * 1000)
    assert "more bytes than the file and their pixels" in sentence(data, "broken")


@pytest.mark.parametrize("compression", [8, 32773])
def test_blank_strips_may_lie_in_one_place(compression: int) -> None:
    strip = zlib.compress(bytes(16)) if compression == 8 else bytes((241, 0))
    data = striped(compression, strip, [8] * 1000, [len(strip)] * 1000)
    assert np.array_equal(decode(data, 1), np.zeros((1, 1000, 16)))


def test_tags_in_one_place_do_not_make_a_small_file_huge() -> None:
    """A file of 2 MiB became 1 GiB for each of up to 128 directories."""
    most = 2**18
    entries = grey_entries(4, 4, 8, 16) | dict.fromkeys((277, 284, 317, 338, 339), (1, most, 8))
    data = written(entries | {254: (4, 1, 1)}, bytes(most))
    assert "more than 1048576 values" in sentence(data, "broken")
    entries = grey_entries(4, 4, 8, 16) | {254: (4, 1, 1), 281: (1, most, 8)}
    data = written(entries, bytes(most))
    directory = data[8 + most :]
    for _ in range(4):
        data = data[:-4] + struct.pack("<I", len(data)) + directory
    assert "more than 1048576 values" in sentence(data, "broken")


@pytest.mark.parametrize(("form", "compression"), [("WebP", 50001), ("JPEG", 7)])
def test_a_tile_of_another_size_is_refused_before_it_is_decoded(
    form: str, compression: int
) -> None:
    """A WebP of 700 bytes, in a tile of 16 x 16 pixels, took 1.4 GB."""
    file = io.BytesIO()
    Image.new("RGB", (2000, 1000)).save(file, form)
    tile = file.getvalue() + b"\0" * (len(file.getvalue()) % 2)
    entries = grey_entries(16, 16, 8, len(tile)) | {
        258: (3, 3, 8 + len(tile)),
        259: (3, 1, compression),
        262: (3, 1, 2),
        277: (3, 1, 3),
    }
    data = written(entries, tile + struct.pack("<3H", 8, 8, 8))
    assert f"a tile or strip has a {form} of 2000 x 1000" in sentence(data, "broken")


def test_samples_that_nobody_looks_at_have_a_bound() -> None:
    """A file of 20 KB, 13 samples of each pixel beside its colours, took 2 GB."""
    bits = struct.pack("<16H", *[16] * 16)
    entries = grey_entries(8192, 8192, 16, 16) | {
        258: (3, 16, 8),
        262: (3, 1, 2),
        277: (3, 1, 16),
        338: (3, 13, 40),
    }
    said = sentence(written(entries, bits + bytes(26)), "too-large")
    assert "take 2147483648 bytes" in said


def test_tables_that_are_put_before_each_tile_have_a_bound() -> None:
    tables = b"\xff\xd8" + b"\xff\xfe\0\2" * 2000 + b"\xff\xd9"
    entries = grey_entries(16, 16, 8, 8) | {259: (3, 1, 7), 347: (7, len(tables), 8)}
    assert "its tables of JPEG have 8004 bytes" in sentence(written(entries, tables), "broken")


def test_a_description_that_begins_again_and_again_is_read_at_once() -> None:
    """A MiB of it took an hour."""
    description = b"ImageJ=\n" * 2**16
    entries = grey_entries(4, 4, 8, 16) | {270: (2, len(description), 24)}
    began = time.perf_counter()
    assert decode(written(entries, bytes(16) + description), 1).shape == (1, 4, 4)
    assert time.perf_counter() - began < 5
    description += b"images=2\n"
    entries = grey_entries(4, 4, 8, 16) | {270: (2, len(description), 24)}
    assert "a stack of 2 images" in sentence(written(entries, bytes(16) + description))
