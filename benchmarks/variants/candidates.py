"""What is compared: layouts, regularisation, and who teaches whom."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models import presets
from models.augmentation import Augmentation
from models.networks import Convolution, LayerSpec, MaxPooling, NetworkSpec, RestrictTo
from models.presets import few_operations, quarter_turns
from models.recipe import Recipe

Layers = tuple[LayerSpec, ...]

_POOL = MaxPooling(kernel=2, stride=2)


@dataclass(frozen=True)
class Candidate:
    """A network and its recipe, without the number of epochs, which follows from the time."""

    network: NetworkSpec
    recipe: Recipe


@dataclass(frozen=True)
class Widths:
    """Fields of C8 in the first, the early, the late and the last convolutions."""

    first: int
    early: int
    late: int
    last: int


# Filters take |G|^2 times the fields' product times the taps: 3.3 and 4.4 million when baked, so
# that the integers fit into a file of 5 MB.
NARROW, WIDE = Widths(16, 16, 24, 24), Widths(16, 20, 28, 24)


def early_pooling(w: Widths) -> Layers:
    """28 pixels -> 24 -> 12 -> 6 -> 4, most convolutions at 12 and 6."""
    return (
        _convolution(w.first, 7, 1),
        _POOL,
        _convolution(w.early, 5, 2),
        _convolution(w.early, 5, 2),
        _POOL,
        _convolution(w.late, 5, 2),
        _convolution(w.late, 5, 2),
        _convolution(w.last, 5, 1),
    )


def late_pooling(w: Widths) -> Layers:
    """The layout of `rotmnist-large`."""
    return presets.late_pooling(w.first, w.early, w.late, w.last)


def restricted(w: Widths) -> Layers:
    """``late_pooling`` over D8, of which C8 is kept from 6 pixels on: a digit has no mirror."""
    half = Widths(w.first // 2, w.early // 2, w.late // 2, w.last)
    *before, _, last = late_pooling(half)
    return (*before, RestrictTo(group="C8"), _convolution(w.late, 5, 2), last)


LAYOUTS: Mapping[str, tuple[str, Callable[[Widths], Layers]]] = {
    "early": ("C8", early_pooling),
    "late": ("C8", late_pooling),
    "restricted": ("D8", restricted),
}

_BASE = Recipe(
    epochs=1,
    batch_size=200,
    learning_rate=3e-3,
    weight_decay=0.05,
    augmentation=Augmentation(degrees=180, scale=0.05, shear=0.1, elastic=0.6),
)
_TURNS, _STRONG = (
    Augmentation(degrees=180),
    Augmentation(degrees=180, scale=0.1, shear=0.2, elastic=1.0),
)
REGULARISED: Mapping[str, tuple[Recipe, float]] = {
    "deformed": (_BASE, 0.1),
    "turned": (_BASE.model_copy(update={"augmentation": _TURNS}), 0.2),
    "mixed": (_BASE.model_copy(update={"mixing": 0.4}), 0.1),
    "strongly-deformed": (_BASE.model_copy(update={"augmentation": _STRONG}), 0.1),
}
"""Recipes, each with its dropout of fields."""

FIRST_ROUND = {
    f"{layout}-{kind}": (layout, kind)
    for layout, kind in [
        *(("early", kind) for kind in REGULARISED),
        ("late", "deformed"),
        ("restricted", "deformed"),
    ]
}


def candidate(layout: str, kind: str, widths: Widths, **changes: float) -> Candidate:
    """Return a layout with a recipe, some of whose numbers are changed."""
    group, layers = LAYOUTS[layout]
    recipe, field_dropout = REGULARISED[kind]
    return Candidate(
        _network(group, layers(widths), 0.3, field_dropout, steerable=True),
        recipe.model_copy(update=changes),
    )


def second_round(errors: Mapping[str, float]) -> dict[str, tuple[Candidate, int]]:
    """Return what follows from the first round's errors; each with the number of its teachers."""
    kind = min(REGULARISED, key=lambda name: errors[f"early-{name}"])
    layout = min(LAYOUTS, key=lambda name: errors[f"{name}-deformed"])
    student = _BASE.model_copy(
        update={
            "weight_decay": 0.02,
            "label_smoothing": 0.0,
            "teaching": 0.7,
            "augmentation": Augmentation(degrees=180, shear=0.05, elastic=0.4),
        }
    )
    taught = candidate(layout, kind, WIDE, teaching=0.5, label_smoothing=0.05, seed=1)
    return {
        "large-taught": (taught, 3),
        "large-alone": (candidate(layout, kind, WIDE, seed=2), 0),
        "c4-taught": (Candidate(_network("C4", quarter_turns(24), 0.1), student), 3),
        "c4-small-taught": (Candidate(_network("C4", few_operations(), 0.1), student), 3),
    }


def _convolution(channels: int, kernel: int, padding: int) -> Convolution:
    return Convolution(channels=channels, kernel=kernel, padding=padding)


def _network(
    group: str,
    layers: Layers,
    dropout: float,
    field_dropout: float = 0.0,
    *,
    steerable: bool = False,
) -> NetworkSpec:
    return NetworkSpec(
        group=group,
        basis="steerable" if steerable else "grid",
        size=28,
        classes=10,
        mean=0.13,
        deviation=0.3,
        layers=layers,
        dropout=dropout,
        field_dropout=field_dropout,
    )
