"""What Transformers' files say of an image, processor by processor.

The expected values are what the processors of Transformers 5.24 do, read from their source;
`python -m benchmarks.foreign` compares served answers with theirs.
"""

from typing import Any

import pytest

from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.inputs import Scaling
from export.onnx_import.preprocessing import Preprocessing
from export.onnx_import.transformers_config import of_transformers

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
NORMALISED = {"image_mean": list(MEAN), "image_std": list(DEVIATION), "resample": 3}
SHORTER = {"size": {"shortest_edge": 224}}
CROPPED = {"crop_size": {"height": 224, "width": 224}, "do_center_crop": True}


def said(kind: str, /, **processor: Any) -> Preprocessing:
    named = {"image_processor_type": f"{kind}ImageProcessor"} if kind else {}
    return of_transformers({}, {**named, **NORMALISED, **processor})


def fitting(found: Preprocessing) -> tuple[object, ...]:
    return found.fit, found.size, found.resize


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        ("ViT", {"size": {"height": 224, "width": 224}}, ("stretch", (224, 224), None)),
        ("ViT", {"size": 224}, ("stretch", (224, 224), None)),
        ("ViT", {"size": [224, 224]}, ("stretch", (224, 224), None)),
        ("ViT", {"size": {"height": 48, "width": 192}}, ("stretch", (48, 192), None)),
        ("DeiT", {"size": 256} | CROPPED, ("stretch", (224, 224), 256)),
        ("Beit", {"size": 256, "crop_size": 224}, ("stretch", (256, 256), None)),
        ("Bit", SHORTER | CROPPED, ("resize-crop", (224, 224), 224)),
        ("CLIP", {"size": 256, "crop_size": 224}, ("resize-crop", (224, 224), 256)),
        (
            "MobileNetV2",
            {"size": {"shortest_edge": 256}} | CROPPED,
            ("resize-crop", (224, 224), 256),
        ),
        ("ConvNext", SHORTER, ("resize-crop", (224, 224), 256)),
        ("ConvNext", SHORTER | {"crop_pct": 0.95}, ("resize-crop", (224, 224), 235)),
        ("ConvNext", {"size": 224, "crop_pct": None}, ("resize-crop", (224, 224), 256)),
        ("ConvNext", {"size": {"shortest_edge": 384}}, ("stretch", (384, 384), None)),
        ("PoolFormer", SHORTER | CROPPED, ("resize-crop", (224, 224), 248)),
        ("PoolFormer", SHORTER | CROPPED | {"crop_pct": 0.95}, ("resize-crop", (224, 224), 235)),
        ("PoolFormer", SHORTER | CROPPED | {"crop_pct": None}, ("resize-crop", (224, 224), 224)),
        ("Levit", {"size": 224}, ("resize-crop", (224, 224), 256)),
        ("Levit", SHORTER | CROPPED, ("resize-crop", (224, 224), 256)),
        ("", SHORTER | CROPPED, ("resize-crop", (224, 224), 224)),
    ],
)
def test_a_size_is_what_its_processor_makes_of_it(
    kind: str, keys: dict[str, Any], expected: tuple[object, ...]
) -> None:
    found = said(kind, **keys)
    assert fitting(found) == expected
    assert found.filter == "bicubic"
    assert found.scaling == Scaling(1 / 255, MEAN, DEVIATION)
    assert not found.unclear


@pytest.mark.parametrize("end", ["FeatureExtractor", "ImageProcessorFast", "ImageProcessorPil"])
def test_a_processor_is_known_by_its_other_names(end: str) -> None:
    named = {"feature_extractor_type": f"ConvNext{end}", **NORMALISED, **SHORTER}
    assert fitting(of_transformers({}, named)) == ("resize-crop", (224, 224), 256)


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        ("ViT", {"do_rescale": False}, Scaling(1, MEAN, DEVIATION)),
        ("ViT", {"do_normalize": False}, Scaling(1 / 255)),
        ("ViT", {"rescale_factor": 1 / 127.5}, Scaling(1 / 127.5, MEAN, DEVIATION)),
        ("ViT", {"image_mean": 0, "image_std": 0.5}, Scaling(1 / 255, (0.0,), (0.5,))),
        ("MobileViT", {}, Scaling(1 / 255, bgr=True)),
        ("MobileViT", {"do_flip_channel_order": False}, Scaling(1 / 255)),
        ("EfficientNet", {}, Scaling(1 / 255, MEAN, (0.2**2, 0.3**2, 0.4**2))),
        ("EfficientNet", {"include_top": False}, Scaling(1 / 255, MEAN, DEVIATION)),
        ("EfficientNet", {"do_normalize": False}, Scaling(1 / 255, (0.0,), DEVIATION)),
        (
            "EfficientNet",
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False},
            Scaling(1 / 127.5, (1.5, 1.4, 1.3), DEVIATION),
        ),
        (
            "EfficientNet",
            {"do_rescale": False, "rescale_offset": True, "include_top": False},
            Scaling(1, MEAN, DEVIATION),
        ),
    ],
)
def test_a_level_is_scaled_as_its_processor_does(
    kind: str, keys: dict[str, Any], expected: Scaling
) -> None:
    found = said(kind, size={"height": 224, "width": 224}, do_center_crop=False, **keys)
    assert found.scaling == expected


@pytest.mark.parametrize(
    ("kind", "keys", "option", "complaint"),
    [
        ("Perceiver", SHORTER | CROPPED, "--fit", "PerceiverImageProcessor, which is not known"),
        ("Perceiver", SHORTER | CROPPED, "--input-scale", "PerceiverImageProcessor"),
        ("", {"size": 224}, "--fit", "one number as the size"),
        ("Bit", SHORTER | {"do_center_crop": False}, "--fit", "names no size to crop"),
        ("Bit", SHORTER | CROPPED | {"crop_size": 256}, "--fit", "crops 256 x 256 pixels of"),
        ("CLIP", {"size": 224}, "--fit", "are cropped, and names no size"),
        ("MobileViT", {"size": {"height": 224, "width": 224}}, "--fit", "names no size to crop"),
        ("Beit", {"size": 224, "do_center_crop": True}, "--fit", "names no size to crop"),
        ("Levit", {"size": 192}, "--fit", "crops 224 x 224 pixels of 192 x 192"),
        ("Segformer", {"size": 256} | CROPPED, "--fit", "which its processor need not do"),
        ("ConvNext", {"size": 256} | CROPPED, "--fit", "which its processor need not do"),
        ("ConvNext", {"size": {"height": 32, "width": 64}}, "--fit", "has the shortest edge"),
        ("ViT", {"size": 224, "image_mean": None}, "--input-scale", "what a grey level becomes"),
        ("ViT", {"size": 224, "image_std": None}, "--input-scale", "what a grey level becomes"),
        ("ViT", {"size": 256, "do_resize": False}, "--fit", "what size images are resized to"),
        ("ViT", {"size": {"shortest_edge": 2, "longest_edge": 9}}, "--fit", "what size"),
        ("ViT", {"size": 224, "do_pad": True}, "--fit", "'do_pad', which is not known"),
        ("ViT", {"size": 224, "crop_pct": 0.9}, "--fit", "'crop_pct', which is not known"),
        ("ViT", {"size": 224, "do_flip_channel_order": True}, "--fit", "'do_flip_channel_order'"),
        ("ViT", {"size": 224, "resample": None}, "--filter", "does not say how images"),
        ("ViT", {"size": 224, "resample": 1}, "--filter", "Images are resampled by 1"),
    ],
)
def test_what_is_not_known_has_to_be_said(
    kind: str, keys: dict[str, Any], option: str, complaint: str
) -> None:
    found = said(kind, **keys)
    assert complaint in found.ask(option)
    assert {"--fit": found.fit, "--input-scale": found.scaling, "--filter": found.filter}[
        option
    ] is None


def test_a_missing_mean_is_not_made_up() -> None:
    processor = {"image_processor_type": "ViTImageProcessor", "size": 224, "resample": 2}
    found = of_transformers({}, processor)
    assert found.scaling is None
    assert found.ask("--input-scale").startswith("preprocessor_config.json does not say")


def test_classes_that_do_not_exclude_each_other_are_told_from_others() -> None:
    said = of_transformers({"problem_type": "multi_label_classification"}, {})
    assert said.multi_label
    assert not of_transformers({"problem_type": "single_label_classification"}, {}).multi_label
    with pytest.raises(OnnxImportError, match="regression"):
        of_transformers({"problem_type": "regression"}, {})
