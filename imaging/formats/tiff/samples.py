"""From a segment's bytes to its samples."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.formats.colour import Samples

# Rows are unpacked in blocks of about so many samples, since indices take more room than they do.
_BLOCK: Final = 2**18


def unpack(rows: NDArray[np.uint8], count: int, bits: int, order: str) -> Samples:
    """Samples of a depth of 1 to 16 bits.

    Parameters
    ----------
    rows : uint8 [R, B]
        Samples one after the other, the highest bit first, except that 16 bits follow `order`.
    count
        How many samples a row holds.

    Returns
    -------
    uint8 [R, count] up to 8 bits, else uint16 [R, count]
    """
    if bits == 8:
        return rows[:, :count]
    if bits == 16:
        return rows.view(f"{order}u2").astype(np.uint16, copy=False)[:, :count]
    result = np.empty((len(rows), count), np.uint8 if bits < 8 else np.uint16)
    step = max(1, _BLOCK // count)
    for top in range(0, len(rows), step):
        result[top : top + step] = _unpack(rows[top : top + step], count, bits)
    return result


def _unpack(rows: NDArray[np.uint8], count: int, bits: int) -> NDArray[np.uint32]:
    """A sample of up to 16 bits lies in three bytes, wherever it begins."""
    first = np.arange(count) * bits
    byte, shift = first // 8, (24 - bits - first % 8).astype(np.uint32)
    padded = np.pad(rows, ((0, 0), (0, 2))).astype(np.uint32)
    window = padded[:, byte] << 16 | padded[:, byte + 1] << 8 | padded[:, byte + 2]
    return np.asarray((window >> shift) & np.uint32(2**bits - 1), np.uint32)


def undo_prediction(samples: Samples) -> Samples:
    """Undo horizontal differencing in samples [R, W, S] (TIFF 6.0, section 14)."""
    if samples.dtype == np.uint8:
        return np.cumsum(samples, axis=1, dtype=np.uint8)
    return np.cumsum(samples, axis=1, dtype=np.uint16)
