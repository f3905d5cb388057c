"""The test vocabulary: does a layer commute with the group, on this input, to this tolerance?"""

from collections.abc import Callable

import torch
from torch import Tensor

from imaging import GridSymmetry
from models.filters import act_on_grid
from models.groups import Group, left_quotients


def act(group: Group, g: int, symmetry: GridSymmetry, x: Tensor) -> Tensor:
    """Let element ``g``, which moves pixels by ``symmetry``, act on ``x``.

    ``x`` is an image ``[N, C, H, W]``, a field ``[N, C, |G|, H, W]``, or invariant ``[N, K]``.
    """
    match x.ndim:
        case 2:
            return x
        case 4:
            return act_on_grid(symmetry, x)
        case 5:
            return act_on_grid(symmetry, x[:, :, list(left_quotients(group)[g])])
        case _:
            raise ValueError(f"Nothing is known of a group's action on {x.ndim} axes.")


def equivariance_error(layer: Callable[[Tensor], Tensor], group: Group, x: Tensor) -> float:
    """Return ``max |f(u . x) - u . f(x)|`` over every ``u`` that is exact on the pixel grid."""
    with torch.no_grad():
        y = layer(x)
        deviations = []
        for g, symmetry in group.grid_elements().items():
            turned, expected = layer(act(group, g, symmetry, x)), act(group, g, symmetry, y)
            if turned.shape != expected.shape:
                raise ValueError(f"A turned input gives {turned.shape}, not {expected.shape}.")
            deviations.append((turned - expected).abs().max().item())
    return max(deviations)


def assert_equivariant(
    layer: Callable[[Tensor], Tensor], group: Group, x: Tensor, *, tolerance: float = 0.0
) -> None:
    """Raise an ``AssertionError`` unless ``layer`` commutes with the grid symmetries of ``group``.

    Parameters
    ----------
    layer
        A function of images or fields; its result is a field, an image, or invariant.
    x
        The input: ``[N, C, H, W]`` or ``[N, C, |G|, H, W]``, square.
    tolerance
        On the largest absolute difference. Zero is right wherever weights and input are integers.
    """
    error = equivariance_error(layer, group, x)
    if not error <= tolerance:
        raise AssertionError(
            f"Not equivariant under {group.name}: the outputs differ by {error:.3g}, "
            f"more than {tolerance:.3g}."
        )
