"""Draw docs/inspection/cracks.png: what `models.cracks` draws, on even grey."""

import argparse
from pathlib import Path

import torch
from PIL import Image

from models.cracks import cracks

SIDE, ACROSS, DOWN = 161, 6, 2
_GREY, _EDGE = 170, 4


def main() -> None:
    """Draw the first cracks of seed 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells.cracks", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/inspection/cracks.png"))
    options = parser.parse_args()
    gain = cracks(ACROSS * DOWN, SIDE, torch.Generator().manual_seed(0))
    framed = torch.nn.functional.pad(_GREY * gain, [_EDGE] * 4, value=255).round().byte()
    side = SIDE + 2 * _EDGE
    sheet = framed.reshape(DOWN, ACROSS, side, side).transpose(1, 2).reshape(DOWN * side, -1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.numpy()).save(options.out)


if __name__ == "__main__":
    main()
