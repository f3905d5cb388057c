"""The picture of the rooms, drawn from the imports, and a check of the journeys through them.

Run ``python -m tests.architecture`` to draw docs/architecture.svg anew.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PICTURE: Final = ROOT / "docs" / "architecture.svg"
GUIDE: Final = ROOT / "docs" / "architecture.md"
ROOMS: Final = ("imaging", "artifact", "audit", "models", "export", "service", "bulk", "commands")

_STEP: Final = re.compile(r"^\| (?P<number>\d+) \| `(?P<file>[\w/]+\.py)` \|.*\| (?P<next>.*) \|$")
_WIRED: Final = re.compile(r"by `(?P<file>[\w/]+\.py)`")

Arrows = Mapping[str, frozenset[str]]
"""From a room to those that it imports."""


# --- imports ------------------------------------------------------------------------------------


@cache
def imported(file: Path) -> frozenset[Path]:
    """The files of the project that a file imports from, also by way of a package's names."""
    return frozenset(_imported(file))


def _imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from filter(None, (_file(alias.name) for alias in node.names))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found = _file(f"{node.module}.{alias.name}") or _named(node.module, alias.name)
                if found is not None:
                    yield found


@cache
def _file(module: str) -> Path | None:
    path = Path(*module.split("."))
    for each in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / each).is_file():
            return each
    return None


@cache
def _named(module: str, name: str) -> Path | None:
    """Where a name of a module comes from: of a package's, the file that it is imported from."""
    file = _file(module)
    if file is None or file.name != "__init__.py":
        return file
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _named(node.module, alias.name)
    return file


def arrows(parts: Iterable[Path]) -> Arrows:
    """Which of the files or folders import which others."""
    kept = dict.fromkeys(parts)
    return {
        part.stem: frozenset(
            other.stem
            for file in _files(part)
            for found in imported(file)
            for other in kept.keys() & {found, *found.parents}
            if other != part
        )
        for part in kept
    }


def rooms() -> Arrows:
    """The rooms of the project."""
    return arrows(Path(room) for room in ROOMS)


def rooms_of_the_service() -> Arrows:
    """The rooms of the service, and the files beside them."""
    entries = sorted((ROOT / "service").iterdir())
    return arrows(
        entry.relative_to(ROOT)
        for entry in entries
        if (entry / "__init__.py").is_file() or (entry.suffix == ".py" and entry.stem != "__init__")
    )


def _files(part: Path) -> list[Path]:
    if part.suffix:
        return [part]
    return sorted(file.relative_to(ROOT) for file in (ROOT / part).rglob("*.py"))


def floors(by_room: Arrows) -> list[list[str]]:
    """Rooms by floors, the lowest first: each imports only from floors below its own.

    Raises
    ------
    ValueError
        If there is a circle of rooms.
    """
    left, found = dict(by_room), list[list[str]]()
    while left:
        floor = sorted(room for room, others in left.items() if not others & left.keys())
        if not floor:
            raise ValueError(f"These rooms import each other in a circle: {sorted(left)}.")
        found.append(floor)
        for room in floor:
            del left[room]
    return found


# --- the picture --------------------------------------------------------------------------------

_GAP, _HIGH, _FLOOR, _TOP = 40, 46, 84, 60
_STYLE: Final = (
    "svg{background:#fff}text{font:13px system-ui,sans-serif;text-anchor:middle;fill:#1b1f24}"
    "rect{fill:#f5f7f9;stroke:#1b1f24}path{fill:none;stroke:#57606a}"
    ".head{font-weight:600;font-size:15px}.soft{fill:#57606a;font-size:12px}"
)


@dataclass(frozen=True)
class _Panel:
    """Boxes on floors: how wide a box is, and how far apart floors are, in pixels."""

    rooms: Arrows
    left: int
    bottom: int
    box: int
    rise: float

    @cached_property
    def floors(self) -> list[list[str]]:
        """Rooms by floors, each floor in the order of those that import its rooms, from the left.

        So an arrow that passes a floor runs beside its boxes.
        """
        found = floors(self.rooms)
        places: dict[str, float] = {}
        for floor in reversed(found):
            above = {
                room: [at for other, at in places.items() if room in _direct(self.rooms, other)]
                for room in floor
            }
            floor.sort(key=lambda room: (sum(above[room]) / max(1, len(above[room])), room))
            places |= {room: n - (len(floor) - 1) / 2 for n, room in enumerate(floor)}
        return found

    @property
    def width(self) -> int:
        return max(len(floor) for floor in self.floors) * (self.box + _GAP) - _GAP

    @property
    def middle(self) -> int:
        return self.left + self.width // 2

    def place(self, room: str) -> tuple[int, int]:
        """The middle of a room's box."""
        level, floor = next((n, f) for n, f in enumerate(self.floors) if room in f)
        aside = floor.index(room) - (len(floor) - 1) / 2
        return (
            round(self.middle + aside * (self.box + _GAP)),
            round(self.bottom - level * self.rise - _HIGH / 2),
        )


def draw() -> str:
    """Draw the rooms with what each imports, and beside them those of the service by floors.

    An arrow that others imply is not drawn; the words in the boxes name all.
    """
    whole, inner = rooms(), rooms_of_the_service()
    high = (len(floors(inner)) - 1) * _FLOOR
    bottom = _TOP + high + _HIGH
    left = _Panel(whole, 20, bottom, 340, high / (len(floors(whole)) - 1))
    right = _Panel(inner, 20 + left.width + 70, bottom, 100, _FLOOR)
    width, height = right.left + right.width + 20, bottom + 40
    shapes = [
        _text(left.middle, 28, "the rooms, and what each imports", "head"),
        _text(right.middle, 28, "inside service, by floors", "head"),
        *(_arrow(left, room, other) for room in whole for other in sorted(_direct(whole, room))),
        *(_box(left, room, ", ".join(sorted(whole[room])) or "nothing") for room in whole),
        *(_box(right, room) for room in inner),
        _text(right.middle, bottom + 24, "each imports from floors below its own alone", "soft"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\n'
        "<title>The rooms of orbitserve and which imports which</title>\n"
        f"<style>{_STYLE}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#57606a"/></marker>'
        "</defs>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def _direct(by_room: Arrows, room: str) -> frozenset[str]:
    """What a room imports and does not reach by way of another that it imports."""
    others = by_room[room]
    return others - {far for near in others for far in _reached(by_room, near)}


def _reached(by_room: Arrows, room: str) -> frozenset[str]:
    return by_room[room].union(*(_reached(by_room, other) for other in by_room[room]))


def _text(x: int, y: int, words: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


def _box(panel: _Panel, room: str, below: str = "") -> str:
    x, y = panel.place(room)
    frame = (
        f'<rect x="{x - panel.box // 2}" y="{y - _HIGH // 2}" width="{panel.box}" '
        f'height="{_HIGH}" rx="6"/>'
    )
    if not below:
        return frame + _text(x, y + 4, room)
    return frame + _text(x, y - 4, room, "head") + _text(x, y + 14, below, "soft")


def _arrow(panel: _Panel, room: str, other: str) -> str:
    (x, y), (to, below) = panel.place(room), panel.place(other)
    start, end = y + _HIGH // 2, below - _HIGH // 2
    aside = (to - x) // 6
    leaves, arrives = x + aside, to - aside
    if aside and below - y > 1.5 * panel.rise:  # from a corner, past the box of the floor between
        corner = panel.box // 2 - 6
        leaves, arrives = x + (corner if aside > 0 else -corner), to
    return f'<path d="M{leaves} {start}L{arrives} {end}" marker-end="url(#tip)"/>'


# --- the journeys -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A step of a journey.

    Attributes
    ----------
    wired_by
        What hands the file the next one, which it does not import.
    back
        Whether the next one is a caller that has been passed.
    """

    file: Path
    wired_by: Path | None
    back: bool


def journeys(text: str) -> dict[str, list[Step]]:
    """Read the journeys of the guide: tables whose rows are a number, a file, words, and how."""
    found: dict[str, list[Step]] = {}
    title = ""
    for line in text.splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif row := _STEP.match(line):
            wired = _WIRED.search(row["next"])
            steps = found.setdefault(title, [])
            where, how = Path(row["file"]), row["next"]
            steps.append(Step(where, Path(wired["file"]) if wired else None, how == "returns"))
    return found


def faults(steps: list[Step]) -> Iterator[str]:
    """Say which files of a journey are not there, or do not reach the next as the guide says."""
    for step in steps:
        for file in filter(None, (step.file, step.wired_by)):
            if not (ROOT / file).is_file():
                yield f"There is no file {file}."
                return
    for place, (step, following) in enumerate(pairwise(steps)):
        if step.back:
            if following.file not in {passed.file for passed in steps[:place]}:
                yield f"{step.file} returns to {following.file}, which was not passed."
        elif step.wired_by is None:
            if following.file not in imported(step.file):
                yield f"{step.file} does not import {following.file}."
        else:
            for each in {step.file, following.file} - {step.wired_by}:
                if each not in imported(step.wired_by):
                    yield f"{step.wired_by} does not import {each}."


def main() -> None:
    """Draw the picture, and say what is wrong with the journeys."""
    PICTURE.write_text(draw(), "utf-8")
    for title, steps in journeys(GUIDE.read_text("utf-8")).items():
        for fault in faults(steps):
            print(f"{title}: {fault}")


if __name__ == "__main__":
    main()
