"""The size rule: which strides keep a rotation of the pixel grid a symmetry."""

from imaging.refusal import RefusedError


class SizeError(RefusedError):
    """A layer's window does not tile its input evenly, or does not fit into it."""


def output_size(n: int, kernel: int, stride: int, padding: int, layer: str) -> int:
    """Return the side of a convolution's or a pooling's output on an ``n x n`` input.

    With the same padding ``p`` on all sides, the windows begin at ``-p, -p + s, ...``. They map
    onto themselves under rotation exactly when the last one ends at ``n + p``, that is when
    ``(n + 2p - k) mod s == 0``; otherwise one border is seen and the opposite one is not.

    Raises
    ------
    SizeError
        If that does not hold, naming ``layer``, ``n`` and the nearest sizes that work.
    """
    spare = n + 2 * padding - kernel
    if spare < 0:
        raise SizeError(
            f"{layer}: a window of {kernel} does not fit into {n} pixels with {padding} of padding "
            f"on each side; the input needs {kernel - 2 * padding} pixels or more."
        )
    if spare % stride:
        below = n - spare % stride
        raise SizeError(
            f"{layer}: a window of {kernel} with stride {stride} and padding {padding} does not "
            f"tile {n} pixels evenly, which breaks the rotation symmetry; "
            f"the nearest sizes that work are {below} and {below + stride}."
        )
    return spare // stride + 1
