"""What a TIFF's tags say of its samples; a layout that would be misread is refused by name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from imaging.formats.colour import Model
from imaging.formats.errors import ImageError, broken, check_size
from imaging.formats.tiff.directory import Directory, Tag

RAW, FAX_RLE, FAX_3, FAX_4, LZW, JPEG, DEFLATE = 1, 2, 3, 4, 5, 7, 8
PACKBITS, OLD_DEFLATE, LZMA, ZSTD, WEBP = 32773, 32946, 34925, 50000, 50001
FAX: Final = (FAX_RLE, FAX_3, FAX_4)
COMPRESSIONS: Final = {
    RAW: "none", FAX_RLE: "CCITT RLE", FAX_3: "CCITT group 3", FAX_4: "CCITT group 4",
    LZW: "LZW", JPEG: "JPEG", DEFLATE: "Deflate", PACKBITS: "PackBits", OLD_DEFLATE: "Deflate",
    LZMA: "LZMA", ZSTD: "Zstandard", WEBP: "WebP",
}  # fmt: skip

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_PHOTOMETRIC: Final = {
    0: "WhiteIsZero", 1: "BlackIsZero", 2: "RGB", 3: "palette", 5: "separated (CMYK)", 6: "YCbCr",
    8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "colour filter array",
    32844: "LogL", 32845: "LogLuv", 34892: "linear raw",
}  # fmt: skip
_FORMATS: Final = {
    1: "unsigned", 2: "signed", 3: "floating-point", 4: "unsigned", 5: "complex signed",
    6: "complex floating-point",
}  # fmt: skip
_UNSIGNED: Final = (1, 4)
_ASSOCIATED, _UNASSOCIATED = 1, 2
_CMYK_INKS: Final = 1
_NO_PREDICTOR, _HORIZONTAL = 1, 2
_PREDICTED: Final = (LZW, DEFLATE, OLD_DEFLATE, LZMA, ZSTD)
_ACCEPTED: Final = (
    "unsigned samples of 1 to 16 bits, in grey, RGB, CMYK or with a palette, uncompressed or "
    "compressed by Deflate, LZW, PackBits, Zstandard, LZMA, JPEG, WebP or CCITT, are accepted"
)
_REC_601: Final = (0.299, 0.587, 0.114)
_OLD_JPEG: Final = 6
_FULL_RANGE: Final = (0, 255, 128, 255, 128, 255)

# What is drawn is at least so large; smaller tiles cost more to find than to decode.
_SMALLEST_TILE: Final = 16
_MOST_SEGMENTS: Final = 2**16
# Segments that are files of their own take longer to open.
_MOST_FILES: Final = 2**14
# Of the largest picture that is accepted; two times RGBA of 16 bits.
_BYTES_A_PIXEL: Final = 16

_SIGNIFICANT_BITS: Final = re.compile(rb"SignificantBits=[\"'](\d{1,2})[\"']")
_IMAGEJ: Final = re.compile(rb"^ImageJ=", re.MULTILINE)
_IMAGEJ_IMAGES: Final = re.compile(rb"^images=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Layout:
    """How the samples lie in the file and what they mean.

    Attributes
    ----------
    samples
        How many there are to a pixel.
    planar
        Whether each kind of sample has a plane of its own.
    segment_width, segment_height
        Of a tile; a strip is as wide as the image.
    offsets, counts
        Where the segments lie, and how many bytes each has, plane by plane.
    order
        The byte order, as NumPy writes it.
    model
        What the samples are, or "palette" or "ycbcr".
    white
        The sample of full intensity.
    alpha
        The index of the sample by which colours are to be multiplied.
    """

    width: int
    height: int
    bits: int
    samples: int
    planar: bool
    compression: int
    predicted: bool
    reversed_bits: bool
    tiled: bool
    segment_width: int
    segment_height: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    order: str
    model: Model | str
    white: int
    alpha: int | None
    orientation: int

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return self.samples if self.planar else 1

    @property
    def samples_a_plane(self) -> int:
        """How many samples of a pixel lie side by side."""
        return 1 if self.planar else self.samples

    @property
    def across(self) -> int:
        """How many segments lie side by side."""
        return -(-self.width // self.segment_width)

    @property
    def down(self) -> int:
        """How many lie one below the other."""
        return -(-self.height // self.segment_height)

    @property
    def segments(self) -> int:
        """How many there are in all planes."""
        return self.across * self.down * self.planes

    @property
    def held(self) -> int:
        """How many bytes the samples of all segments take, each sample one or two."""
        area = self.segment_width * self.segment_height
        return self.across * self.down * area * self.samples * (1 if self.bits <= 8 else 2)

    @property
    def row_bytes(self) -> int:
        """The length of a segment's row, uncompressed: rows begin at whole bytes."""
        return (self.segment_width * self.samples_a_plane * self.bits + 7) // 8


def read_layout(directory: Directory, max_pixels: int, white_level: int | None) -> Layout:
    """Read a picture's layout from its tags.

    Parameters
    ----------
    white_level
        The sample that is white in more than 8 bits where the file does not state its own depth.

    Raises
    ------
    ImageError
        If the picture is too large, or if its samples would not be read right.
    """
    width, height = directory.number(Tag.IMAGE_WIDTH), directory.number(Tag.IMAGE_LENGTH)
    check_size(width, height, max_pixels)
    _refuse_volumes(directory)
    samples = directory.number(Tag.SAMPLES_PER_PIXEL, 1)
    bits = _samples_alike(directory, samples)
    planar = directory.number(Tag.PLANAR_CONFIGURATION, 1) == 2 and samples > 1
    compression = directory.number(Tag.COMPRESSION, RAW)
    if compression not in COMPRESSIONS:  # before samples, whose sentences speak of compressions
        old = ", JPEG as TIFF 6.0 first had it" if compression == _OLD_JPEG else ""
        raise refused(f"compression {compression}{old}")
    model, alpha = _meaning(directory, samples, bits, compression)
    tiled = Tag.TILE_WIDTH in directory.tags
    if tiled:
        segment = (directory.number(Tag.TILE_WIDTH), directory.number(Tag.TILE_LENGTH))
    else:
        segment = (width, min(directory.number(Tag.ROWS_PER_STRIP, height), height))
    layout = Layout(
        width=width,
        height=height,
        bits=bits,
        samples=samples,
        planar=planar,
        compression=compression,
        predicted=_is_predicted(directory, bits, compression),
        reversed_bits=directory.number(Tag.FILL_ORDER, 1) == 2,
        tiled=tiled,
        segment_width=segment[0],
        segment_height=segment[1],
        offsets=directory.numbers(Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS),
        counts=directory.numbers(Tag.TILE_BYTE_COUNTS if tiled else Tag.STRIP_BYTE_COUNTS),
        order=directory.order,
        model=model,
        white=_white(directory, bits, white_level),
        alpha=alpha,
        orientation=directory.number(Tag.ORIENTATION, 1),
    )
    _check_compression(layout, directory)
    _check_segments(layout, max_pixels)
    return layout


def refused(what: str) -> ImageError:
    """The refusal of a layout; `what` names it."""
    return ImageError("unknown-format", f"The TIFF has {what}; {_ACCEPTED}.")


def _refuse_volumes(directory: Directory) -> None:
    if directory.number(Tag.IMAGE_DEPTH, 1) > 1:
        raise refused("several slices in one image")
    description = directory.texts.get(Tag.IMAGE_DESCRIPTION, b"")
    # In two steps: one that looks for both takes quadratic time.
    begun = _IMAGEJ.search(description)
    images = _IMAGEJ_IMAGES.search(description, begun.end()) if begun else None
    if images and int(images[1]) > 1:
        raise refused(f"a stack of {int(images[1])} images, of which it lists one")
    if Tag.DNG_VERSION in directory.tags:
        raise refused("a camera's raw samples (DNG)")


def _samples_alike(directory: Directory, samples: int) -> int:
    """The bits of a sample, which all have in common."""
    bits = directory.numbers(Tag.BITS_PER_SAMPLE, (1,))
    formats = directory.numbers(Tag.SAMPLE_FORMAT, (1,))
    if not 1 <= samples <= 16 or len(bits) not in (1, samples):
        raise refused(f"{samples} samples a pixel and depths for {len(bits)}")
    if len(set(bits)) > 1:
        raise refused(f"samples of different depths, {', '.join(map(str, bits))} bits")
    names = [_FORMATS.get(number, f"unknown ({number})") for number in formats]
    if set(formats) - set(_UNSIGNED):
        raise refused(f"{bits[0]}-bit {'/'.join(dict.fromkeys(names))} samples")
    if not 1 <= bits[0] <= 16:
        raise refused(f"{bits[0]}-bit {names[0]} samples")
    return bits[0]


def _meaning(
    directory: Directory, samples: int, bits: int, compression: int
) -> tuple[Model | str, int | None]:
    if Tag.PHOTOMETRIC not in directory.tags:
        raise refused("no photometric interpretation")
    number = directory.number(Tag.PHOTOMETRIC)
    name = _PHOTOMETRIC.get(number, str(number))
    match number:
        case 0:
            model, colours = "inverted-grey", 1
        case 1:
            model, colours = "grey", 1
        case 2:
            model, colours = "rgb", 3
        case 3 if bits <= 8:
            model, colours = "palette", 1
        case 5 if directory.number(Tag.INK_SET, _CMYK_INKS) == _CMYK_INKS:
            model, colours = "cmyk", 4
        case 6 if bits == 8:
            _check_ycbcr(directory, compression)
            model, colours = "ycbcr", 3
        case _:
            raise refused(f"{samples} {bits}-bit samples of photometric interpretation {name}")
    return model, _alpha(directory, samples, colours, number)


def _alpha(directory: Directory, samples: int, colours: int, number: int) -> int | None:
    extra = directory.numbers(Tag.EXTRA_SAMPLES)
    name = _PHOTOMETRIC.get(number, str(number))
    described = f"{samples} samples a pixel of photometric interpretation {name}"
    # Writers of RGBA that leave the tag out mean an alpha that is not yet multiplied in.
    if not extra and colours == 3 and samples == 4:
        extra = (_UNASSOCIATED,)
    if samples < colours or len(extra) != samples - colours:
        raise refused(f"{described}, {len(extra)} of them extra samples")
    if colours == 1 and len(extra) > 1:
        raise refused(f"{described}, which are several bands")
    alphas = [index for index, kind in enumerate(extra) if kind in (_ASSOCIATED, _UNASSOCIATED)]
    if len(alphas) > 1 or (alphas and colours == 4):
        raise refused(f"{described}, {len(alphas)} of them alpha")
    if not alphas:
        return None
    if extra[alphas[0]] == _ASSOCIATED:
        if number == _WHITE_IS_ZERO:  # where 0, which is what is transparent, is white
            raise refused(f"{described}, with an associated alpha")
        return None
    return colours + alphas[0]


def _check_ycbcr(directory: Directory, compression: int) -> None:
    if compression in (JPEG, WEBP):
        return
    coefficients = directory.tags.get(Tag.YCBCR_COEFFICIENTS, _REC_601)
    if any(abs(a - b) > 1e-3 for a, b in zip(coefficients, _REC_601, strict=True)):
        raise refused("YCbCr samples of other coefficients than ITU-R BT.601")
    if directory.tags.get(Tag.REFERENCE_BLACK_WHITE, _FULL_RANGE) != _FULL_RANGE:
        raise refused("YCbCr samples that do not use the full range")
    if directory.numbers(Tag.YCBCR_SUBSAMPLING, (2, 2)) != (1, 1):
        raise refused("subsampled YCbCr samples without JPEG")


def _white(directory: Directory, bits: int, level: int | None) -> int:
    """The sample of full intensity: that of the bits, or of fewer if it is said that they are.

    What the file states of its depth counts first, and what is known of the camera second. The
    maximum of TIFF 6.0 may be mere statistics: one of the form 2^k - 1 is taken for a depth where
    nothing else is known.
    """
    full = (1 << bits) - 1
    if bits <= 8:
        return full
    significant = _SIGNIFICANT_BITS.search(directory.texts.get(Tag.IMAGE_DESCRIPTION, b""))
    stated = _depths([(1 << int(significant[1])) - 1] if significant else [], full)
    if level is not None:
        return next(iter(stated), min(level, full))
    for tag in (Tag.MAX_SAMPLE_VALUE, Tag.S_MAX_SAMPLE_VALUE):
        stated |= _depths(directory.numbers(tag), full)
    if len(stated) > 1:
        raise refused(f"several white levels, {', '.join(map(str, sorted(stated)))}")
    return stated.pop() if stated else full


def _depths(whites: Iterable[int], full: int) -> set[int]:
    """Those of the form 2^k - 1 that say something."""
    return {white for white in whites if 255 <= white < full and not white & (white + 1)}


def _is_predicted(directory: Directory, bits: int, compression: int) -> bool:
    predictor = directory.number(Tag.PREDICTOR, _NO_PREDICTOR)
    if predictor == _NO_PREDICTOR or compression not in _PREDICTED:
        return False
    if predictor != _HORIZONTAL or bits not in (8, 16):
        raise refused(f"{bits}-bit samples of predictor {predictor}")
    return True


def _check_compression(layout: Layout, directory: Directory) -> None:
    name = COMPRESSIONS[layout.compression]
    described = f"{layout.samples} {layout.bits}-bit samples a pixel, compressed by {name}"
    if layout.compression in FAX and (layout.bits, layout.samples) != (1, 1):
        raise refused(described)
    if layout.compression in (JPEG, WEBP) and layout.bits != 8:
        raise refused(described)
    if layout.compression == WEBP and (layout.planar or layout.samples not in (3, 4)):
        raise refused(described)
    if layout.model == "ycbcr" and layout.planar:
        raise refused(f"{described}, in planes of YCbCr")
    if layout.reversed_bits and not (
        layout.compression in FAX or (layout.compression in (RAW, PACKBITS) and layout.bits <= 8)
    ):
        raise refused(f"{described}, with the bits of each byte reversed")


def _check_segments(layout: Layout, max_pixels: int) -> None:
    width, height = layout.segment_width, layout.segment_height
    if width < 1 or height < 1:
        raise broken(f"its tiles or strips are {width} x {height}")
    if layout.tiled and min(width, height) < _SMALLEST_TILE:
        raise refused(f"tiles of {width} x {height} pixels, smaller than {_SMALLEST_TILE}")
    needed = layout.segments
    most = _MOST_FILES if layout.compression in (JPEG, WEBP) else _MOST_SEGMENTS
    if needed > most:
        raise refused(f"{needed} tiles or strips, more than {most}")
    # Tiles may hang over the edge.
    largest = max(max_pixels, 2**20)
    if layout.across * width * layout.down * height > 4 * largest:
        raise refused(f"tiles of {width} x {height} pixels, far larger than the picture")
    if layout.held > _BYTES_A_PIXEL * largest:
        raise ImageError(
            "too-large",
            f"The samples of the TIFF take {layout.held} bytes, with all that hangs over its "
            f"edges; at most {_BYTES_A_PIXEL * largest} are accepted.",
        )
    if len(layout.offsets) < needed or (layout.counts and len(layout.counts) < needed):
        raise broken(f"of {needed} tiles or strips it lists {len(layout.offsets)}")
