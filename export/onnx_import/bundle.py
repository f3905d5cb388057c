"""What a file from elsewhere brings along: weights beside the graph, names, preprocessing."""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError

from artifact.files import MOST_GRAPH
from artifact.origin import WeightsFile
from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.inputs import Scaling
from export.onnx_import.preprocessing import (
    FILTERS,
    Preprocessing,
    mapping,
    names_if_clear,
    numbers,
    read_json,
    unclear_filter,
)
from export.onnx_import.transformers_config import of_transformers
from imaging.files import MOST_TEXT, FileRefusedError, read_file, read_named
from imaging.refusal import RefusedError

_NAMES: Final = ("model.onnx", "onnx/model.onnx")
"""Where exporters put a folder's graph."""

_CROP_PERCENT: Final = 0.875
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What timm takes where a model's configuration does not say."""


@dataclass(frozen=True)
class Bundle:
    """A graph with all its weights, and what was found beside it.

    Attributes
    ----------
    file
        The graph's.
    sha256
        Of that file, as it lies there.
    weights
        The files of weights beside it.
    data
        An ONNX file that holds its weights itself.
    """

    file: Path
    sha256: str
    weights: tuple[WeightsFile, ...]
    data: bytes
    said: Preprocessing


def read_bundle(place: Path) -> Bundle:
    """Read a graph and what lies beside it.

    Parameters
    ----------
    place
        An ONNX file, or a folder with one.

    Raises
    ------
    RefusedError
        If there is no such file, or not just one; if weights are missing, cut off or lie in another
        folder; if what is beside it cannot be read.
    """
    file = _graph_file(place) if place.is_dir() else place
    given = read_named(file, MOST_GRAPH)
    data, files = _with_weights(file, given)
    weights = tuple(WeightsFile(file=name, sha256=_digest(files[name])) for name in files)
    return Bundle(file, _digest(given), weights, data, _said(file, data))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _graph_file(folder: Path) -> Path:
    known = [folder / name for name in _NAMES if (folder / name).exists()]
    found = known or sorted(each for each in folder.glob("*.onnx") if each.name[0] != ".")
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found) or "none"
        raise OnnxImportError(
            f"{folder} has these ONNX files: {names}; a folder with one, or the file, is accepted."
        )
    return found[0]


# --- weights ------------------------------------------------------------------------------------


def _with_weights(file: Path, given: bytes) -> tuple[bytes, Mapping[str, bytes]]:
    """Put weights that lie in files of the same folder into the graph's own file.

    Returns
    -------
    The file, and those files by their names, of which each is read once.
    """
    try:
        model = onnx.load_model_from_string(given)
    except DecodeError:  # told by whoever reads it
        return given, {}
    files: dict[str, bytes] = {}
    total = len(given)
    for tensor in _tensors(model):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        name, start, length = _place(tensor)
        if name not in files:
            files[name] = _read_weights(file.parent, name)
        raw = files[name][start:] if length == -1 else files[name][start : start + length]
        if length not in (-1, len(raw)):
            raise OnnxImportError(
                f"The file {name!r} ends before the weights of '{tensor.name}' do."
            )
        total += len(raw)
        if max(total, sum(map(len, files.values()))) > MOST_GRAPH:
            raise OnnxImportError(
                f"{file} has more than {MOST_GRAPH >> 20} MiB of weights; fewer are accepted."
            )
        del tensor.external_data[:]
        tensor.data_location = tensor.DEFAULT
        tensor.raw_data = raw
    return (model.SerializeToString() if files else given), files


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in (*model.graph.node, *(node for each in model.functions for node in each.node)):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _place(tensor: onnx.TensorProto) -> tuple[str, int, int]:
    """Return where a tensor lies: a file's name, the first byte, how many; -1 for all of them."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    if len(where) < len(tensor.external_data):
        raise OnnxImportError(
            f"Where the weights of '{tensor.name}' lie is said twice; once is accepted."
        )
    name = where.get("location", "")
    if not isinstance(name, str):  # protobuf gives bytes where a text is no UTF-8
        raise OnnxImportError(
            f"The weights of '{tensor.name}' lie in {name!r}, whose name is no UTF-8; one in UTF-8 "
            "is accepted."
        )
    if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise OnnxImportError(
            f"The weights of '{tensor.name}' lie in {name!r}; a file in the graph's folder is "
            "accepted."
        )
    try:
        start, length = int(where.get("offset", "0")), int(where.get("length", "-1"))
    except ValueError:
        start, length = -1, -1
    if not 0 <= start <= MOST_GRAPH or length < -1:
        raise OnnxImportError(
            f"Where in {name!r} the weights of '{tensor.name}' lie is no number of bytes."
        )
    return name, start, length


def _read_weights(folder: Path, name: str) -> bytes:
    try:
        return read_file(folder / name, MOST_GRAPH)
    except FileRefusedError as error:
        raise OnnxImportError(f"The file {name!r} with weights of the graph {error}.") from error


# --- names and preprocessing --------------------------------------------------------------------


def _said(file: Path, data: bytes) -> Preprocessing:
    """Read what Transformers, timm and Ultralytics write of a model."""
    try:
        return _read_beside(file, data)
    except RefusedError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise OnnxImportError(
            f"What lies beside {file.name} is not what Transformers or timm write ({error}); "
            "the file alone, in a folder of its own, is accepted."
        ) from error


def _read_beside(file: Path, data: bytes) -> Preprocessing:
    folders = [file.parent, file.parent.parent] if file.parent.name == "onnx" else [file.parent]
    config, processor = (
        next((_read_json(f / name) for f in folders if (f / name).is_file()), {})
        for name in ("config.json", "preprocessor_config.json")
    )
    timm = mapping(config.get("pretrained_cfg"))
    if timm:
        return _of_timm(config, timm)
    if processor or config.get("id2label"):
        return of_transformers(config, processor)
    return _of_ultralytics(data)


def _of_timm(config: Mapping[str, Any], timm: Mapping[str, Any]) -> Preprocessing:
    """Read ``config.json`` as timm writes it."""
    names = config.get("label_names") or timm.get("label_names") or []
    _, *sides = timm["input_size"] if timm.get("input_size") else (0, 0, 0)
    size = (int(sides[0]), int(sides[1])) if all(sides) else None
    percent = float(timm.get("crop_pct") or _CROP_PERCENT)
    mode, kernel = timm.get("crop_mode") or "center", timm.get("interpolation") or "bicubic"
    squashed, unclear = mode == "squash", unclear_filter(kernel)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        names, unclear["--classes"] = [], "config.json holds label_names that are no list of names"
    if mode not in ("center", "squash"):
        unclear["--fit"] = f"config.json crops images by the mode {mode!r}, which is not known here"
    if len(set(sides)) > 1 and not (squashed and percent == 1):
        unclear["--fit"] = "config.json crops images to an oblong, which is not known here"
    return Preprocessing(
        classes=tuple(names),
        size=size,
        scaling=Scaling(
            1 / 255, numbers(timm.get("mean") or _MEAN), numbers(timm.get("std") or _DEVIATION)
        ),
        fit=None if "--fit" in unclear else "stretch" if squashed else "resize-crop",
        resize=None if (squashed and percent == 1) or size is None else int(size[0] / percent),
        filter=FILTERS.get(kernel),
        notes=("What becomes of an image is read from config.json, as timm writes it.",),
        unclear=unclear,
    )


def _of_ultralytics(data: bytes) -> Preprocessing:
    """Read the metadata that Ultralytics puts into the file of a classifier."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        return Preprocessing()
    found = {entry.key: entry.value for entry in model.metadata_props}
    if found.get("task") != "classify" or "Ultralytics" not in found.get("author", ""):
        return Preprocessing()
    classes, unclear = names_if_clear(_literal(found.get("names")))
    sides = _literal(found.get("imgsz"))
    size = None
    if isinstance(sides, list | tuple) and [type(side) for side in sides] == [int, int]:
        size = (sides[0], sides[1])
    else:
        unclear["--fit"] = "The file's own metadata give no size that can be read"
    square = size is not None and size[0] == size[1]
    return Preprocessing(
        classes=classes,
        size=size,
        scaling=Scaling(1 / 255),
        fit=None if size is None else "resize-crop" if square else "stretch",
        resize=size[0] if size is not None and square else None,
        filter="bilinear",
        notes=("Names and size are those of Ultralytics' metadata in the file.",),
        unclear=unclear,
    )


def _literal(text: str | None) -> object:
    """Read what Python wrote; None for anything else."""
    try:
        return ast.literal_eval(text or "")
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError):
        return None


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        found = read_json(read_named(path, MOST_TEXT))
    except (ValueError, RecursionError) as error:
        raise OnnxImportError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(found, dict):
        raise OnnxImportError(f"{path} holds no object of JSON; one is accepted.")
    return found
