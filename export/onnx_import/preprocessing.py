"""What image a file from elsewhere is said to take by what lies beside it, and its classes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.inputs import Scaling, Sides
from imaging.fit import FitFilter, FitMode

FILTERS: Final[dict[Any, FitFilter]] = {
    2: "bilinear",
    3: "bicubic",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
}
"""By Pillow's number and timm's name."""


@dataclass(frozen=True)
class Preprocessing:
    """What the files beside a graph say of its input; None, or nothing, where they say nothing."""

    classes: tuple[str, ...] = ()
    size: Sides | None = None
    scaling: Scaling | None = None
    fit: FitMode | None = None
    resize: int | None = None
    filter: FitFilter | None = None
    multi_label: bool = False
    notes: tuple[str, ...] = ()
    unclear: Mapping[str, str] = field(default_factory=dict)
    """By option that would say it: the sentence's beginning about what is not known here."""

    def ask(self, option: str) -> str:
        """Say what is unclear without an option, and name it."""
        return f"{self.unclear[option]}; {option} says what to take."


def numbered_names(names: object) -> tuple[str, ...]:
    """Return names in the order of their numbers: 0, 1, and so on, each once.

    Raises
    ------
    OnnxImportError
        If a number is left out, is there twice or is none, or what it numbers is no name.
    """
    try:
        pairs = [(int(number), name) for number, name in mapping(names).items()]
    except (TypeError, ValueError) as error:
        raise OnnxImportError(
            "The classes have no numbers; a list of names, or a number for each, is accepted."
        ) from error
    return _in_order(pairs)


def names_by_number(numbers: Mapping[str, int]) -> tuple[str, ...]:
    """Return names in the order of the numbers that each of them has, as `numbered_names` does."""
    return _in_order([(number, name) for name, number in numbers.items()])


def _in_order(pairs: Sequence[tuple[int, Any]]) -> tuple[str, ...]:
    strange = [name for _, name in pairs if not isinstance(name, str)]
    if strange:
        raise OnnxImportError(
            f"The classes have {strange[0]!r} where a name is due; a text for each is accepted."
        )
    numbered = dict(pairs)
    if len(numbered) < len(pairs):
        raise OnnxImportError(
            "The classes have a number twice; each number, for one name, is accepted."
        )
    if sorted(numbered) != list(range(len(numbered))):
        raise OnnxImportError(
            "The numbers of the classes leave some out; 0, 1 and so on are accepted."
        )
    return tuple(numbered[number] for number in range(len(numbered)))


def told_apart(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names with their numbers behind those that are there twice, and what to say of it.

    ImageNet has two classes that are called crane, a bird and a machine, and answers are names.
    """
    counts = Counter(names)
    twins = sorted(name for name, count in counts.items() if count > 1 and name.strip())
    if not twins:
        return tuple(names), ()
    found = tuple(
        f"{name} ({number})" if counts[name] > 1 and name.strip() else name
        for number, name in enumerate(names)
    )
    several = f" and {len(twins) - 1} more names" if len(twins) > 1 else ""
    numbered = next(each for each, name in zip(found, names, strict=True) if name == twins[0])
    return found, (
        f"Several classes are named {twins[0]!r}{several}: their numbers stand behind such names, "
        f"as in {numbered!r}.",
    )


def names_if_clear(names: object) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return names as `numbered_names` does, or none and what is unclear of them."""
    try:
        return numbered_names(names), {}
    except OnnxImportError as error:
        return (), {"--classes": str(error).partition(";")[0]}


def read_json(text: str | bytes) -> object:
    """Read JSON in which no object has a key twice, of which all but one would be lost.

    Raises
    ------
    ValueError
        If it is none.
    """
    return json.loads(text, object_pairs_hook=_without_twice)


def _without_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def mapping(found: object) -> Mapping[Any, Any]:
    """Return an object of JSON; an empty one where something else was found."""
    return found if isinstance(found, dict) else {}


def numbers(found: Any) -> tuple[float, ...]:
    """Return one number or several of a list."""
    return tuple(float(each) for each in (found if isinstance(found, list | tuple) else [found]))


def unclear_filter(found: object) -> dict[str, str]:
    """Return what is unclear of a filter, and nothing if it is known."""
    if found is None:
        return {"--filter": "What lies beside the file does not say how images are resampled"}
    known = isinstance(found, int | str) and found in FILTERS
    return {} if known else {"--filter": f"Images are resampled by {found!r}, not known here"}
