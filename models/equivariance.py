"""The test vocabulary: does a layer commute with the group, on this input, to this tolerance?"""

import math
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
            rotated, expected = layer(act(group, g, symmetry, x)), act(group, g, symmetry, y)
            if rotated.shape != expected.shape:
                raise ValueError(f"A rotated input gives {rotated.shape}, not {expected.shape}.")
            deviations.append((rotated - expected).abs().max().item())
    return max(deviations)


def rotation_error(
    layer: Callable[[Tensor], Tensor], group: Group, image: Callable[[float], Tensor]
) -> float:
    """Return how far ``layer`` fails to commute with rotations between the quarter turns.

    The pixel in the centre stays where it is under every rotation, so that the outputs there are
    compared without any interpolation: ``f(u . x)(g) = f(x)(u^-1 g)``.

    Parameters
    ----------
    layer
        A function from images ``[N, C, n, n]`` to fields of ``group`` with an odd side.
    image
        A function from an angle in radians to a band-limited image rotated counterclockwise by it,
        sampled anew rather than interpolated.

    Returns
    -------
    float
        The root mean square of the deviation, of the worst rotation, relative to the outputs'.
    """
    with torch.no_grad():
        upright = _centre(layer(image(0.0)))
        deviations = []
        for u in range(group.rotations):
            rotated = _centre(layer(image(2 * math.pi * u / group.rotations)))
            expected = upright[:, :, list(left_quotients(group)[u])]
            deviations.append(_rms(rotated - expected))
    return max(deviations) / _rms(upright)


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


def _rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


def _centre(field: Tensor) -> Tensor:
    side = field.shape[-1]
    if side % 2 == 0:
        raise ValueError(f"A field of {side} pixels has no pixel in its centre; an odd side has.")
    return field[..., side // 2, side // 2]
