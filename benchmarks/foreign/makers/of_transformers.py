"""Writes a classifier of Hugging Face's Transformers, with random weights, as optimum lays it out.

python -m benchmarks.foreign.makers.of_transformers FOLDER PICTURES NAME...
"""

import sys
from pathlib import Path
from typing import Any

import benchmarks.foreign.makers.torchvision_beside_cpu  # isort: skip  # noqa: F401
import numpy as np
import torch
import transformers

from benchmarks.foreign.makers.reference import NAMES, SEED, answer, read, sharpen

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
MODELS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    # name: model, its configuration, image processor, its configuration
    "vit": (
        "ViT",
        {"image_size": 96, "patch_size": 16, "hidden_size": 96, "num_hidden_layers": 4}
        | {"num_attention_heads": 3, "intermediate_size": 192},
        "ViTImageProcessorPil",
        {"size": {"height": 96, "width": 96}},
    ),
    "deit": (
        "DeiT",
        {"image_size": 96, "patch_size": 16, "hidden_size": 96, "num_hidden_layers": 4}
        | {"num_attention_heads": 3, "intermediate_size": 192},
        "DeiTImageProcessorPil",
        {"size": {"height": 112, "width": 112}, "crop_size": {"height": 96, "width": 96}},
    ),
    "beit": (
        "Beit",
        {"image_size": 96, "patch_size": 16, "hidden_size": 96, "num_hidden_layers": 3}
        | {"num_attention_heads": 3, "intermediate_size": 192},
        "BeitImageProcessorPil",
        {"size": {"height": 96, "width": 96}},
    ),
    "swin": (
        "Swin",
        {"image_size": 128, "embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}
        | {"window_size": 4},
        "ViTImageProcessorPil",
        {"size": {"height": 128, "width": 128}, "resample": 3} | IMAGENET,
    ),
    "dinov2": (
        "Dinov2",
        {"image_size": 98, "patch_size": 14, "hidden_size": 96, "num_hidden_layers": 3}
        | {"num_attention_heads": 3, "mlp_ratio": 2},
        "BitImageProcessorPil",
        {"size": {"shortest_edge": 112}, "crop_size": {"height": 98, "width": 98}} | IMAGENET,
    ),
    "convnext": (
        "ConvNext",
        {"image_size": 112, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1]},
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": 112}} | IMAGENET,
    ),
    "resnet": (
        "ResNet",
        {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1], "embedding_size": 16},
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": 112}} | IMAGENET,
    ),
    "regnet": (
        "RegNet",
        {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1], "groups_width": 8},
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": 112}} | IMAGENET,
    ),
    "poolformer": (
        "PoolFormer",
        {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]},
        "PoolFormerImageProcessorPil",
        {"size": {"shortest_edge": 112}, "crop_size": {"height": 112, "width": 112}},
    ),
    "levit": (
        "Levit",
        {"image_size": 112, "hidden_sizes": [32, 48, 64], "num_attention_heads": [2, 3, 4]}
        | {"depths": [1, 1, 1], "key_dim": [8, 8, 8]},
        "LevitImageProcessorPil",
        {"size": {"shortest_edge": 112}, "crop_size": {"height": 112, "width": 112}},
    ),
    "mobilevit": (
        "MobileViT",
        {
            "image_size": 128,
            "hidden_sizes": [24, 32, 40],
            "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64],
        }
        | {"num_attention_heads": 2},
        "MobileViTImageProcessorPil",
        {"size": {"shortest_edge": 144}, "crop_size": {"height": 128, "width": 128}},
    ),
    "efficientnet": (
        "EfficientNet",
        {"image_size": 112, "width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640},
        "EfficientNetImageProcessorPil",
        {"size": {"height": 112, "width": 112}, "image_mean": [0.485, 0.456, 0.406]}
        | {"image_std": [0.47853944, 0.4732864, 0.47434163]},
    ),
    "mobilenetv1": (
        "MobileNetV1",
        {"image_size": 112, "depth_multiplier": 0.5},
        "MobileNetV1ImageProcessorPil",
        {"size": {"shortest_edge": 128}, "crop_size": {"height": 112, "width": 112}},
    ),
    "mobilenetv2": (
        "MobileNetV2",
        {"image_size": 224, "depth_multiplier": 0.35},
        "MobileNetV2ImageProcessorPil",
        {},
    ),
}


class Logits(torch.nn.Module):
    """A classifier of which the logits alone are asked."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> Any:
        """Return the logits [N, K] of images [N, 3, H, W]."""
        return self.model(pixel_values=pixel_values).logits


def make(name: str, folder: Path, pictures: Path) -> None:
    """Write model.onnx, config.json, preprocessor_config.json and the probabilities expected."""
    architecture, sizes, processor_name, processor_sizes = MODELS[name]
    torch.manual_seed(SEED)
    labels = dict(enumerate(NAMES))
    config = getattr(transformers, f"{architecture}Config")(
        **sizes, id2label=labels, label2id={label: place for place, label in labels.items()}
    )
    model = getattr(transformers, f"{architecture}ForImageClassification")(config).eval()
    processor = getattr(transformers, processor_name)(**processor_sizes)
    config.save_pretrained(folder)
    processor.save_pretrained(folder)

    def prepare(picture: Any) -> Any:
        return np.asarray(processor(picture, return_tensors="np")["pixel_values"][0], np.float32)

    folder.mkdir(parents=True, exist_ok=True)
    images = torch.from_numpy(np.stack([prepare(picture) for picture in read(pictures)]))
    sharpen(model, images)
    file = folder / "model.onnx"
    torch.onnx.export(
        Logits(model),
        (images[:2],),
        file,
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_axes={"pixel_values": {0: "batch_size"}, "logits": {0: "batch_size"}},
        dynamo=False,
    )
    answer(file, pictures, prepare, softmax=True)


if __name__ == "__main__":
    for each in sys.argv[3:]:
        make(each, Path(sys.argv[1]) / each, Path(sys.argv[2]))
