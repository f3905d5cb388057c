"""Draw photographs of parts, scratched or not: python examples/parts.py my-parts.

Nuts, washers, gears and screws, three photographs of each at random rotations, sizes and exposures:
20 of each kind and class, and in the folder more-parts beside it 5 to test on.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

KINDS = ("nut", "washer", "gear", "screw")
CLASSES = ("good", "scratched")
PHOTOGRAPHS = 3
FINER = 4
"""Pixels of a drawing to one of its photograph."""

Points = list[tuple[float, float]]


def circle(points: int, radius: float) -> Points:
    """Return the corners of a regular polygon."""
    angles = 2 * np.pi * np.arange(points) / points
    return [(radius * np.cos(a), radius * np.sin(a)) for a in angles]


def gear(teeth: int = 14) -> Points:
    """Return the outline of a gear."""
    steps = ((0.52, -0.13), (0.66, -0.07), (0.66, 0.07), (0.52, 0.13))
    corners = [(r, 2 * np.pi * i / teeth + a) for i in range(teeth) for r, a in steps]
    return [(r * np.cos(a), r * np.sin(a)) for r, a in corners]


def screw() -> list[Points]:
    """Return the outlines of a screw's head and thread."""
    head = [(-0.70, -0.30), (-0.48, -0.30), (-0.48, 0.30), (-0.70, 0.30)]
    side = [(-0.48, -0.12)]
    for i in range(12):
        side += [(-0.435 + 0.09 * i, -0.16), (-0.39 + 0.09 * i, -0.11)]
    return [head, [*side, (0.70, 0.0), *((x, -y) for x, y in reversed(side))]]


OUTLINES = {
    "nut": [circle(6, 0.62)],
    "washer": [circle(72, 0.60)],
    "gear": [gear()],
    "screw": screw(),
}
HOLES = {"nut": 0.30, "washer": 0.27, "gear": 0.16, "screw": 0.0}


def scratches(kind: str, random: np.random.Generator) -> list[Points]:
    """Return one to three bent lines on a part."""
    lines = []
    for _ in range(random.integers(1, 4)):
        radius, angle = random.uniform(HOLES[kind] + 0.08, 0.46), random.uniform(0, 2 * np.pi)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        if kind == "screw":
            x, y = random.uniform(-0.6, 0.4), random.uniform(-0.06, 0.06)
        length, angle = random.uniform(0.12, 0.22), random.uniform(0, np.pi)
        dx, dy = length * np.cos(angle), length * np.sin(angle)
        lines.append([(x - dx, y - dy), (x, y + 0.02), (x + dx, y + dy)])
    return lines


def photograph(kind: str, marks: list[Points], random: np.random.Generator) -> Image.Image:
    """Return a picture of a part at a random rotation, of a random size."""
    side = int(random.integers(64, 111))
    width, height = side, side if random.random() < 0.5 else int(side * 0.75)
    ground = int(random.integers(60, 110))
    drawing = Image.new("RGB", (width * FINER, height * FINER), (ground,) * 3)
    scale = min(width, height) * FINER / 2 * random.uniform(0.85, 1.1)
    turn = np.exp(1j * random.uniform(0, 2 * np.pi))
    centre = complex(*drawing.size) / 2 + complex(*random.uniform(-0.1, 0.1, 2)) * scale

    def placed(points: Points) -> Points:
        moved = (centre + scale * turn * complex(*point) for point in points)
        return [(point.real, point.imag) for point in moved]

    pen, grey = ImageDraw.Draw(drawing), int(random.integers(165, 205))
    for outline in OUTLINES[kind]:
        pen.polygon(placed(outline), fill=(grey + 4, grey, grey - 6))
    if HOLES[kind]:
        pen.polygon(placed(circle(48, HOLES[kind])), fill=(ground,) * 3)
    for line in marks:
        pen.line(placed(line), fill=(40, 36, 34), width=int(0.035 * scale))
    picture = drawing.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.5)), np.float64)
    light = np.linspace(0.9, 1.1, width)[:, None]
    noise = random.normal(0, 5, (height, width, 1))
    return Image.fromarray((pixels * light + noise).clip(0, 255).astype(np.uint8))


def draw(folder: Path, parts: int, seed: int) -> None:
    """Write photographs of so many parts of each kind and class."""
    random = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for part in range(parts * len(KINDS)):
            kind = KINDS[part % len(KINDS)]
            marks = scratches(kind, random) if name == "scratched" else []
            for number in range(1, PHOTOGRAPHS + 1):
                suffix = "jpg" if random.random() < 0.7 else "png"
                file = folder / name / f"{kind}{part:03}_{number}.{suffix}"
                photograph(kind, marks, random).save(file)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    draw(place, 20, seed=0)
    draw(place.with_name("more-parts"), 5, seed=1)
