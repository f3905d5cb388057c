"""What the command's options say, read from text."""

import os
import re
from pathlib import Path
from typing import Final, Literal

from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.inputs import Scaling, Sides
from export.onnx_import.preprocessing import (
    names_by_number,
    numbered_names,
    read_json,
    told_apart,
)
from imaging.files import MOST_TEXT, FileRefusedError, read_file

_DIGITS: Final = 6
"""Of a side in pixels, at most: Python makes no number of some thousands of them."""


def read_classes(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read names with commas in between, or a file: a name a line, or JSON.

    JSON may be a list of names, or give each name its number, either way round, as Keras's class
    indices and Transformers' id2label do. Names that a file has twice are told apart, and the
    second tuple says so; those that somebody typed are left as they are.

    Raises
    ------
    OnnxImportError
        If a file of this name cannot be read, or holds something else.
    """
    if "," in text and not os.path.isfile(text):  # noqa: PTH113 -- Path's refuses long names
        return tuple(name.strip() for name in text.split(",")), ()
    try:
        found = read_file(Path(text), MOST_TEXT).decode("utf-8-sig")
    except (FileRefusedError, UnicodeDecodeError) as error:
        raise OnnxImportError(
            f"The classes {text!r} are neither names with commas in between nor a text file with "
            f"one name a line: it {_reason(error)}."
        ) from error
    if found.lstrip()[:1] in ("[", "{"):
        names = _read_json(text, found)
    else:
        names = tuple(line.strip() for line in re.split(r"[\r\n]+", found) if line.strip())
    if not names:
        raise OnnxImportError(f"The file {text!r} names no classes; two or more are accepted.")
    return told_apart(names)


def _read_json(name: str, text: str) -> tuple[str, ...]:
    try:
        found = read_json(text)
    except (ValueError, RecursionError) as error:
        raise OnnxImportError(
            f"The classes {name!r} begin as JSON and are none ({error}); a list of names is "
            "accepted."
        ) from error
    if isinstance(found, list) and all(isinstance(each, str) for each in found):
        return tuple(found)
    if isinstance(found, dict):
        if all(type(value) is int for value in found.values()):
            return names_by_number(found)
        return numbered_names(found)
    raise OnnxImportError(
        f"The classes {name!r} are neither a list of names nor names with numbers, as JSON; either "
        "is accepted."
    )


def read_size(text: str | None) -> Sides | None:
    """Read the side of a square, or height x width.

    Raises
    ------
    OnnxImportError
        If it is neither.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.lower().split("x")]
    sides = [int(part) for part in parts if part.isdecimal() and len(part) <= _DIGITS]
    if len(parts) > 2 or len(sides) < len(parts) or 0 in sides:
        raise OnnxImportError(
            f"--size has {text[:40]!r}; a side as 224, or height and width as 48x192, is accepted."
        )
    return sides[0], sides[-1]


def read_scaling(
    scale: str | None, mean: str, std: str, order: Literal["rgb", "bgr"] = "rgb"
) -> Scaling | None:
    """Read what becomes of a grey level; None if nothing is said about it.

    Raises
    ------
    OnnxImportError
        If something is no number, a mean or deviation is given without a scale, or no level
        reaches the mean with it.
    """
    if scale is None:
        if (mean, std, order) != ("0", "1", "rgb"):
            raise OnnxImportError(
                "--mean, --std and --channel-order go with --input-scale, 1/255 for instance."
            )
        return None
    numbers = [_numbers(option, text) for option, text in (("--mean", mean), ("--std", std))]
    found = Scaling(_number("--input-scale", scale), numbers[0], numbers[1], order == "bgr")
    low, high = sorted((0.0, 255 * found.scale))
    beyond = [each for each in found.mean if not low <= each <= high]
    if beyond:
        raise OnnxImportError(
            f"--input-scale makes levels of {low:g} to {high:g}, and --mean has {beyond[0]:g}; a "
            "mean of such levels is accepted."
        )
    return found


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FileRefusedError) else "is not UTF-8"


def _numbers(option: str, text: str) -> tuple[float, ...]:
    return tuple(_number(option, part) for part in text.split(","))


def _number(option: str, text: str) -> float:
    try:
        above, slash, below = text.partition("/")
        return float(above) / float(below if slash else 1)
    except (ValueError, ZeroDivisionError) as error:
        raise OnnxImportError(
            f"{option} has {text.strip()!r}; a number or a fraction as 1/255 is accepted."
        ) from error
