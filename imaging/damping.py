"""What interpolation does to the fine detail of a rotated image, done without the rotation.

A pixel of a rotated image is a sum of pixels around its source, weighted by where between them that
lies. Along an axis such a sum damps a frequency by |H|, the magnitude of the weights' transfer
function, and a rotation multiplies the power spectrum of an image by the average of |H|**2 over the
sub-pixel positions that it uses. `damp` multiplies it by the same, with a filter that is even and
so moves nothing: the root of that average.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.resample import UNIT, Method, Resampler, axis_weights, inside_disc

# Weights farther from the middle are below 1 / UNIT.
_REACH: Final = 8
_FREQUENCIES: Final = 64


def damp(
    images: NDArray[np.uint8], degrees: float | NDArray[np.float64], resampler: Resampler
) -> NDArray[np.uint8]:
    """Give images the power spectrum that a rotation by an angle would give them, and do not rotate
    them.

    The average is taken over the pixels in the disc, and one filter serves both axes: it commutes
    with quarter turns and mirror images, bit for bit, and does nothing at multiples of 90 degrees.

    Parameters
    ----------
    images : uint8 [N, C, n, n]
    degrees
        One angle for all images, or float64 [N]: one for each.
    resampler
        `"bilinear"` or `"bicubic"`.

    Raises
    ------
    ValueError
        If the resampler takes the nearest pixel, which is displaced and not damped.
    """
    if resampler.method == "nearest":
        raise ValueError(
            "The nearest pixel is displaced and not damped; 'bilinear' and 'bicubic' are accepted."
        )
    angles = np.atleast_1d(np.asarray(degrees, np.float64))
    size = images.shape[-1]
    weights = np.stack([_even_weights(size, float(a), resampler.method) for a in angles])
    # Above the fill, which is what lies outside. All sums are integers below 2**43, so exact.
    total = images.astype(np.float64) - resampler.fill
    bands = _bands(weights, size)[:, None]
    total = bands @ total @ bands
    grey = np.floor(total / float(UNIT**2) + 0.5) + resampler.fill
    damped: NDArray[np.uint8] = np.clip(grey, 0, 255).astype(np.uint8)
    return damped


def _bands(weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Weights [A, _REACH + 1] as symmetric matrices [A, n, n] that filter rows or columns of n."""
    places = np.arange(size)
    distances = np.abs(places[:, None] - places)
    beyond = np.pad(weights, [(0, 0), (0, 1)])
    return beyond[:, np.minimum(distances, _REACH + 1)]


@lru_cache(maxsize=512)
def _even_weights(size: int, degrees: float, method: Method) -> NDArray[np.float64]:
    """Weights at distances 0 to _REACH, in 1 / UNIT, of the filter whose gain is the root."""
    used = axis_weights(size, degrees, method)[:, :, inside_disc(size).ravel()] / UNIT
    taps = used.shape[1]
    # The power gain is the transfer function of the weights' mean autocorrelation.
    lags = [(used[:, lag:] * used[:, : taps - lag]).sum(axis=1).mean() for lag in range(taps)]
    frequencies = 2 * np.pi * np.arange(_FREQUENCIES) / _FREQUENCIES
    power = lags[0] + 2 * sum(r * np.cos(k * frequencies) for k, r in enumerate(lags) if k)
    distances = np.arange(_REACH + 1)
    gain = np.sqrt(np.maximum(power, 0))
    exact = (gain * np.cos(np.outer(distances, frequencies))).mean(axis=1)
    weights: NDArray[np.float64] = np.rint(exact * UNIT)
    weights[0] = UNIT - 2 * weights[1:].sum()
    return weights
