"""Blocks of the documentation: what they have people type, and what is said to come of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isclose
from pathlib import Path

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```", re.M | re.S
)
_NUMBER = re.compile(r"\d+\.\d+(?:e[+-]\d+)?|\d+e[+-]\d+")


@dataclass(frozen=True)
class Step:
    """A line that is typed, with the lines that it goes on over, and what is printed below it."""

    command: str
    printed: str


@dataclass(frozen=True)
class Block:
    """A block of a page; ``why`` says why the tests do not run it, if they do not."""

    page: Path
    line: int
    kind: str
    text: str
    why: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def steps(self) -> Iterator[Step]:
        """Yield the commands of a block of the kind `console`."""
        lines = self.text.replace("\\\n", "\\\0").splitlines(keepends=True)
        starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in pairwise([*starts, len(lines)]):
            command = lines[start].removeprefix("$ ").replace("\\\0", "\\\n")
            yield Step(command.strip(), "".join(lines[start + 1 : end]))


def blocks(page: Path) -> list[Block]:
    """Read all blocks of a page that say what is in them."""
    text = page.read_text("utf-8")
    return [
        Block(
            page, text[: found.start()].count("\n") + 1, found["kind"], found["text"], found["why"]
        )
        for found in _FENCE.finditer(text)
    ]


def agrees(printed: str, written: str) -> bool:
    """Whether ``written`` is what was printed.

    `...` stands for anything, the number of an estimated time ("about 4 s") for any other, and a
    space for any space. A number with decimals may differ a little, since sums of floats do between
    processors: by 2 %, or tenfold where it is itself a rounding error.
    """
    written, parts, end = written.rstrip(), [], 0
    for found in _NUMBER.finditer(written):
        parts += [_pattern(written[end : found.start()]), f"({_NUMBER.pattern})"]
        end = found.end()
    pattern = "".join([*parts, _pattern(written[end:])])
    match = re.fullmatch(pattern, printed.rstrip(), re.S)
    numbers = _NUMBER.findall(written)
    return match is not None and all(map(_near, match.groups(), numbers))


def _pattern(text: str) -> str:
    words = re.sub(r"(about\\ )\d+(?=\\ s\b)", r"\1\\d+", re.escape(text))
    return re.sub(r"(?:\\?\s)+", r"\\s+", words.replace(r"\.\.\.", ".*?"))


def _near(printed: str, written: str) -> bool:
    here, there = float(printed), float(written)
    if "e" in written or "e" in printed:
        return here <= 10 * max(there, 1e-6)
    return isclose(here, there, rel_tol=0.02, abs_tol=0.002)
