"""Writes classifiers of timm, Ultralytics, Keras and scikit-learn, with random weights or, of
scikit-learn, ones trained on its own digits; and one quantised by onnxruntime.

    python -m benchmarks.foreign.makers.of_others FOLDER PICTURES NAME...
"""

import sys
from pathlib import Path
from typing import Any

import benchmarks.foreign.makers.torchvision_beside_cpu  # isort: skip  # noqa: F401
import numpy as np
import torch

from benchmarks.foreign.makers.reference import NAMES, SEED, answer, read, sharpen


def timm_model(name: str, folder: Path, pictures: Path) -> None:
    """One of timm, by torch's present exporter, with its weights beside the graph."""
    import timm
    from timm.data import create_transform, resolve_model_data_config
    from timm.models import save_for_hf

    model = timm.create_model(name, pretrained=False, num_classes=len(NAMES)).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    images = torch.stack([transform(picture) for picture in read(pictures)])
    sharpen(model, images)
    save_for_hf(model, folder, model_config={"label_names": list(NAMES)}, safe_serialization=True)
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    file = folder / "model.onnx"
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        model,
        (images[:2],),
        file,
        dynamo=True,
        external_data=True,
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    answer(file, pictures, lambda picture: transform(picture).numpy(), softmax=True)


def ultralytics_model(name: str, folder: Path, pictures: Path) -> None:
    """YOLO's classifier, by its own export, and prepared by its own predictor."""
    from ultralytics import YOLO
    from ultralytics.data.augment import classify_transforms

    model = YOLO(f"{name}.yaml")
    model.model.names = dict(enumerate(NAMES))
    transform = classify_transforms(128)
    images = torch.stack([transform(picture) for picture in read(pictures)])
    network = model.model
    network.model[-1].linear = torch.nn.Linear(network.model[-1].linear.in_features, len(NAMES))
    sharpen(_Logits(network), images)
    given = Path(model.export(format="onnx", imgsz=128, dynamic=True, simplify=False))
    file = given.rename(folder / "model.onnx")
    answer(file, pictures, lambda picture: transform(picture).numpy(), softmax=False)


class _Logits(torch.nn.Module):
    """What the softmax of YOLO's classifier reads."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Any) -> Any:
        found = self.network(images)
        return found[1] if isinstance(found, tuple) else found


def keras_model(name: str, folder: Path, pictures: Path) -> None:
    """One of keras.applications, by Keras's own export; channels last, a softmax at its end."""
    import keras

    module, architecture, side = KERAS[name]
    keras.utils.set_random_seed(SEED)
    prepared = getattr(keras.applications, module).preprocess_input
    model = getattr(keras.applications, architecture)(
        weights=None, classes=len(NAMES), input_shape=(side, side, 3)
    )

    def prepare(picture: Any) -> Any:
        resized = np.asarray(picture.resize((side, side), 2), np.float32)
        return np.asarray(prepared(resized), np.float32)

    images = np.stack([prepare(picture) for picture in read(pictures)])
    for layer in model.layers:
        if layer.weights and len(layer.weights[0].shape) == 4:
            layer.set_weights([_smooth(layer.get_weights()[0]), *layer.get_weights()[1:]])
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    last = model.layers[-1]
    last.activation = keras.activations.linear
    logits = np.asarray(model(images, training=False).detach())
    last.activation = keras.activations.softmax
    kernel, bias = last.get_weights()
    factor = 2 / logits.std(axis=0).mean()
    last.set_weights([kernel * factor, (bias - logits.mean(axis=0)) * factor])
    file = folder / "model.onnx"
    model.export(file, format="onnx", verbose=False)
    answer(file, pictures, prepare, softmax=False)


def _smooth(kernel: Any) -> Any:
    """Make filters [H, W, ...] as those of `sharpen` are."""
    mean = kernel.mean(axis=(0, 1), keepdims=True) * np.prod(kernel.shape[:2]) ** 0.5
    return (mean + 0.2 * kernel).astype(np.float32)


KERAS = {
    "keras-mobilenet": ("mobilenet_v2", "MobileNetV2", 96),
    "keras-resnet": ("resnet", "ResNet50", 64),
    "keras-efficientnet": ("efficientnet", "EfficientNetB0", 96),
}


def quantised(folder: Path, pictures: Path) -> None:
    """The ResNet of Transformers, made 8-bit by onnxruntime's quantize_static, in QDQ form."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    given = folder.parent / "resnet"
    inputs = np.load(given / "reference.npz")["inputs"]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows = iter(inputs)

        def get_next(self) -> Any:
            row = next(self.rows, None)
            return None if row is None else {"pixel_values": row[None]}

    file = folder / "model.onnx"
    quant_pre_process(given / "model.onnx", folder / "prepared.onnx")
    quantize_static(
        folder / "prepared.onnx", file, Reader(), quant_format=QuantFormat.QDQ, per_channel=True
    )
    (folder / "prepared.onnx").unlink()
    for name in ("config.json", "preprocessor_config.json"):
        (folder / name).write_text((given / name).read_text())
    rows = iter(inputs)
    answer(file, pictures, lambda _: next(rows), softmax=True)


def make(name: str, folder: Path, pictures: Path) -> None:
    """Write a model's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    if name in KERAS:
        keras_model(name, folder, pictures)
    elif name.startswith("yolo"):
        ultralytics_model(name, folder, pictures)
    elif name == "quantised":
        quantised(folder, pictures)
    else:
        timm_model(name, folder, pictures)


if __name__ == "__main__":
    for each in sys.argv[3:]:
        make(each, Path(sys.argv[1]) / each, Path(sys.argv[2]))
