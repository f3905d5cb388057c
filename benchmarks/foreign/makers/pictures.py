"""Writes photographs and micrographs that come with scikit-image and scikit-learn as PNG.

python -m benchmarks.foreign.makers.pictures FOLDER
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "retina.jpg", "rocket.jpg")
SKLEARN = ("china.jpg", "flower.jpg")
SMALL, TALL = ("chelsea", (150, 100)), "coffee"
LINES = ("page.png", "text.png")
LINE = (220, 48)
"""Width and height: lines of text that are so long are stretched, and shorter ones padded."""


def write_lines(folder: Path) -> None:
    """Write strips of scanned pages, upright and upside down."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = find_spec("skimage")
    assert spec and spec.origin
    for name in LINES:
        with Image.open(Path(spec.origin).parent / "data" / name) as opened:
            page = opened.convert("RGB")
        for top in range(20, page.height - LINE[1], 30):
            strip = page.crop((20, top, 20 + LINE[0], top + LINE[1]))
            strip = strip if top % 60 else strip.transpose(Image.Transpose.ROTATE_180)
            strip.save(folder / f"{Path(name).stem}-{top:03}.png")


def write(folder: Path) -> None:
    """Write the pictures: wide, tall and square ones, and one smaller than most inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, place, names in (
        ("skimage", "data", SKIMAGE),
        ("sklearn", "datasets/images", SKLEARN),
    ):
        spec = find_spec(package)
        assert spec and spec.origin
        for name in names:
            with Image.open(Path(spec.origin).parent / place / name) as opened:
                picture = opened.convert("RGB")
            stem = Path(name).stem
            picture.save(folder / f"{stem}.png")
            if stem == TALL:
                picture.transpose(Image.Transpose.ROTATE_90).save(folder / f"{stem}-tall.png")
            if stem == SMALL[0]:
                picture.resize(SMALL[1]).save(folder / f"{stem}-small.png")


if __name__ == "__main__":
    write(Path(sys.argv[1]) / "pictures")
    write_lines(Path(sys.argv[1]) / "lines")
