"""What Hugging Face's Transformers write of a model: ``config.json``, ``preprocessor_config.json``.

The same keys mean different things to different image processors: the shorter side of 224 is
resized to 256 before the crop by one, to 224 by another. So what is not known of the one that is
named is left open, and has to be said.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.inputs import Scaling, Sides
from export.onnx_import.preprocessing import (
    FILTERS,
    Preprocessing,
    mapping,
    names_if_clear,
    numbers,
    unclear_filter,
)
from imaging.fit import FitMode

_FILE: Final = "preprocessor_config.json"
_WARPED: Final = 384
"""From this size on, ConvNeXt's processor stretches images and crops nothing."""

_BY_SHORTER_SIDE: Final = (
    *("Bit", "CLIP", "ChineseCLIP", "ConvNext", "EfficientFormer", "Levit", "MobileNetV1"),
    *("MobileNetV2", "MobileViT", "PoolFormer", "Siglip", "ViTHybrid"),
)
"""Processors to which a size that is one number is that of the shorter side."""

_TO_A_SQUARE: Final = ("Beit", "DINOv3ViT", "DeiT", "EfficientNet", "Pvt", "Segformer", "ViT")
_CROP: Final = (
    *("Bit", "CLIP", "ChineseCLIP", "DeiT", "EfficientFormer", "Levit", "MobileNetV1"),
    *("MobileNetV2", "MobileViT", "PoolFormer", "ViTHybrid"),
)
"""Processors that crop if nothing is said about it."""

_CROP_OTHERWISE: Final = ("ConvNext", "DINOv3ViT", "Pvt", "Segformer", "Siglip", "ViT")
"""Processors to which a crop is nothing, or something else, in this version or that."""

_PIXELS: Final = (
    *("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale"),
    *("rescale_factor", "do_normalize", "image_mean", "image_std", "default_to_square"),
)
_OF_FAMILIES: Final = {
    "crop_pct": ("ConvNext", "PoolFormer"),
    "do_flip_channel_order": ("MobileViT",),
    "include_top": ("EfficientNet",),
    "rescale_offset": ("EfficientNet",),
}
"""Keys that change an image, by the processors that heed them."""

_FLAGS: Final = (
    *("do_resize", "do_center_crop", "do_rescale", "do_normalize", "default_to_square"),
    *("do_flip_channel_order", "include_top", "rescale_offset"),
)
"""What is true, false or left open."""

_HARMLESS: Final = (
    *("image_processor_type", "feature_extractor_type", "processor_class", "auto_map"),
    *("do_convert_rgb", "do_reduce_labels", "reduce_labels", "return_tensors", "data_format"),
    *("input_data_format", "model_input_names", "_valid_processor_keys", "num_labels"),
    *("disable_grouping", "device", "name_or_path"),
)


def of_transformers(config: Mapping[str, Any], processor: Mapping[str, Any]) -> Preprocessing:
    """Read the two files.

    Raises
    ------
    OnnxImportError
        If they tell of another kind of model.
    """
    several = _gives_several_labels(config)
    classes, unclear = names_if_clear(config.get("id2label"))
    notes = [f"{len(classes)} classes have the names of config.json."] * bool(classes)
    if not processor:
        return Preprocessing(
            classes=classes, multi_label=several, notes=tuple(notes), unclear=unclear
        )
    fitting = _read_fitting(processor)
    unclear |= dict(_unclear(processor, fitting))
    scaling = _scaling(processor)
    if scaling is None:
        unclear["--input-scale"] = f"{_FILE} does not say what a grey level becomes"
    notes.append(f"What becomes of an image is read from {_FILE}.")
    return Preprocessing(
        classes=classes,
        size=fitting.size,
        scaling=None if "--input-scale" in unclear else scaling,
        fit=None if "--fit" in unclear else fitting.mode,
        resize=None if "--fit" in unclear else fitting.resize,
        filter=FILTERS.get(processor.get("resample")),
        multi_label=several,
        notes=tuple(notes),
        unclear=unclear,
    )


def _gives_several_labels(config: Mapping[str, Any]) -> bool:
    """Whether the classes do not exclude each other; refuse what is no classification."""
    kind = config.get("problem_type")
    if kind not in (None, "single_label_classification", "multi_label_classification"):
        raise OnnxImportError(
            f"config.json says that the model is one of {kind}; one that classifies images is "
            "accepted."
        )
    return bool(kind == "multi_label_classification")


@dataclass(frozen=True)
class _Fitting:
    """How an image comes to the input's size.

    Attributes
    ----------
    size
        That size, if it is said.
    resize
        What the shorter side, or each, is resized to where a crop follows.
    """

    mode: FitMode | None
    size: Sides | None
    resize: int | None = None
    complaint: str | None = None


def _read_fitting(processor: Mapping[str, Any]) -> _Fitting:
    family, size = _family(processor), processor.get("size")
    whole, crop = _sides(size), None
    if crops := processor.get("do_center_crop", family in _CROP):
        crop = _sides(processor.get("crop_size", 224 if family == "Levit" else None))
    if not processor.get("do_resize", True) or whole is None:
        complaint = f"{_FILE} does not say what size images are resized to"
        return _Fitting(None, crop or whole, complaint=complaint)
    if crops and (crop is None or family in _CROP_OTHERWISE):
        what = "which its processor need not do" if crop else "and names no size to crop"
        return _Fitting(None, crop, complaint=f"{_FILE} says that images are cropped, {what}")
    by_shorter_side = not processor.get("default_to_square", family not in _BY_SHORTER_SIDE)
    shorter = "shortest_edge" in mapping(size) or (isinstance(size, int) and by_shorter_side)
    resize = whole[0]
    if family == "ConvNext":
        if "height" in mapping(size):
            complaint = f"{_FILE} gives height and width where ConvNext has the shortest edge"
            return _Fitting(None, whole, complaint=complaint)
        if resize >= _WARPED:
            return _Fitting("stretch", whole)
        return _Fitting(
            "resize-crop", whole, int(resize / (processor.get("crop_pct") or 224 / 256))
        )
    if family == "PoolFormer" and processor.get("crop_pct", 0.9):
        resize, shorter = int(resize / processor.get("crop_pct", 0.9)), True
    if family == "Levit" and shorter:
        resize = int(256 / 224 * resize)
    if crop in (None, whole) and not shorter:
        return _Fitting("stretch", whole)
    if crop is None:
        complaint = f"{_FILE} resizes the shorter side of images and names no size to crop"
        return _Fitting(None, whole, complaint=complaint)
    if max(crop) > resize or (whole[0] != whole[1]):
        complaint = f"{_FILE} crops {crop[0]} x {crop[1]} pixels of {whole[0]} x {whole[1]}"
        return _Fitting(None, crop, complaint=complaint)
    return _Fitting("resize-crop" if shorter else "stretch", crop, resize)


def _unclear(processor: Mapping[str, Any], fitting: _Fitting) -> Iterator[tuple[str, str]]:
    """Yield what has to be said, and why."""
    yield from unclear_filter(processor.get("resample")).items()
    family, named = _family(processor), _named(processor)
    if named and family not in (*_BY_SHORTER_SIDE, *_TO_A_SQUARE):
        for option in ("--fit", "--input-scale"):
            yield option, f"{_FILE} names the processor {named}, which is not known here"
        return
    if fitting.complaint:
        yield "--fit", fitting.complaint
    elif not named and isinstance(processor.get("size"), int):
        yield "--fit", f"{_FILE} gives one number as the size and does not name its processor"
    for key, found in processor.items():
        if key in _FLAGS and not isinstance(found, bool | None):
            for option in ("--fit", "--input-scale"):
                yield option, f"{_FILE} has {found!r} for {key!r}, which is neither true nor false"
        heeded = family in _OF_FAMILIES.get(key, ())
        if not (key in (*_PIXELS, *_HARMLESS) or heeded or found is None or found is False):
            yield "--fit", f"{_FILE} holds {key!r}, which is not known here"


def _scaling(processor: Mapping[str, Any]) -> Scaling | None:
    """Return what becomes of a level; None where a mean or deviation is missing."""
    family = _family(processor)
    rescaled = processor.get("do_rescale", True)
    scale = processor.get("rescale_factor", 1 / 255) if rescaled else 1.0
    found = (processor.get(key) for key in ("image_mean", "image_std"))
    mean, std = (() if each is None else numbers(each) for each in found)
    again = family == "EfficientNet" and processor.get("include_top", True)
    normalised = family != "MobileViT" and processor.get("do_normalize", True)
    if (normalised and not mean) or ((normalised or again) and not std):
        return None
    deviations = int(bool(normalised)) + int(bool(again))
    offset = float(family == "EfficientNet" and bool(rescaled and processor.get("rescale_offset")))
    return Scaling(
        float(scale),
        tuple(offset + each for each in (mean if normalised else (0.0,))),
        tuple(each**deviations for each in (std if deviations else (1.0,))),
        bgr=family == "MobileViT" and bool(processor.get("do_flip_channel_order", True)),
    )


def _named(processor: Mapping[str, Any]) -> str:
    return str(
        processor.get("image_processor_type") or processor.get("feature_extractor_type") or ""
    )


def _family(processor: Mapping[str, Any]) -> str:
    """Return the processor's name without what tells its make and age."""
    return re.sub(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$", "", _named(processor))


def _sides(found: object) -> Sides | None:
    """Return what a size names: a number for both, or height and width, or the shortest one."""
    size = mapping(found)
    if "longest_edge" in size:
        return None
    if isinstance(found, list):
        sides = found
    elif "height" in size or "width" in size:
        sides = [size.get("height"), size.get("width")]
    else:
        sides = 2 * [size.get("shortest_edge") if size else found]
    if [type(side) for side in sides] != [int, int] or min(sides) < 1:
        return None
    return sides[0], sides[1]
