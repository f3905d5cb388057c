"""How many images a second are trained, by network, arithmetic and batch size.

Run ``python -m benchmarks.gpu.training --device cuda``. The images are made up, as a step takes as
long for any, and the first epoch is not timed.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from imaging.refusal import RefusedError
from models.datasets.split import Split
from models.devices import Arithmetic, find_device
from models.presets import PRESETS, Preset
from models.training import Training

BATCHES = (128, 512)
NETWORKS = ["rotmnist-c4", "rotmnist-c8", "rotmnist-large"]
WAYS: tuple[Arithmetic, ...] = ("float32", "bfloat16", "float16")


def main() -> None:
    """Print a Markdown table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--steps", type=int, default=10, help="that are timed")
    options = parser.parse_args()
    try:
        device = find_device(options.device)
    except RefusedError as error:
        sys.exit(str(error))
    print("Images trained a second, by batch size:\n")
    print(f"| network | arithmetic |{''.join(f' {size} |' for size in options.batches)}")
    print("| --- " * (2 + len(options.batches)) + "|", flush=True)
    for name in options.networks:
        for arithmetic in WAYS:
            print(f"| {name} | {arithmetic} |", end="", flush=True)
            for cell in cells(PRESETS[name], arithmetic, device, options.batches, options.steps):
                print(f" {cell} |", end="", flush=True)
            print()


def cells(
    preset: Preset,
    arithmetic: Arithmetic,
    device: torch.device,
    batches: Sequence[int],
    steps: int,
) -> Iterator[str]:
    """Yield the images a second of each batch size, or why there are none."""
    for size in batches:
        changes = {"epochs": 2, "batch_size": size, "arithmetic": arithmetic}
        training = Training(preset.network, preset.recipe.model_copy(update=changes), device)
        try:
            *_, last = training.epochs(made_up(preset, size * steps))
        except RefusedError as error:
            yield f"refused: {error}"
        else:
            yield f"{last.images_per_second:,.0f}"


def made_up(preset: Preset, count: int) -> Split:
    """Draw images and labels for a network."""
    spec, random = preset.network, np.random.default_rng(0)
    images = random.integers(0, 256, (count, spec.channels, spec.size, spec.size), np.uint8)
    return Split(images, random.integers(0, spec.classes, count))


if __name__ == "__main__":
    main()
