"""What ways to compute a convolution do to the whole numbers of an `integer` file, without a GPU.

Run ``python -m benchmarks.gpu.algorithms``. Each layer is given what onnxruntime gives it for
images of the audit set, and is computed in float32 by algorithms of the kinds that cuDNN has:

- plain sums with factors rounded to TF32, as tensor cores take them;
- minimal filtering F(2x2, 3x3) and F(4x4, 3x3): Lavin and Gray, "Fast algorithms for convolutional
  neural networks", CVPR 2016, section 4, which gives the matrices;
- Fourier transforms.

The sums of a real kernel run in another order, so that its errors are not these but like these.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from artifact.contract import INPUT, Images
from benchmarks.gpu.accumulators import with_outputs
from benchmarks.gpu.candidates import candidates
from service.engine.providers import CPU, start
from service.engine.queue import Floats

Real = TypeVar("Real", np.float32, np.float64)

Algorithm = Callable[[Floats, Floats], Floats]
"""From padded images [N, C, H, W] and filters [K, C, k, k] to sums [N, K, H - k + 1, W - k + 1]."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution of stride 1: its padded input, filters and biases [K, 1, 1], all whole."""

    name: str
    images: Floats
    filters: Floats
    biases: Floats


@dataclass(frozen=True)
class Error:
    """By how much accumulators are off at most, and how many are another number once rounded."""

    largest: float
    wrong: int
    count: int


def main() -> None:
    """Print a Markdown table, a line a layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="rotmnist-c4-integer")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--images", type=int, default=64, help="of the audit set, at most")
    options = parser.parse_args()
    (candidate,) = candidates(options.repository, [options.model])
    print("Accumulators are off by at most, and in brackets how many are wrong once rounded:\n")
    print(f"| layer | filters | largest | {' | '.join(ALGORITHMS)} |")
    print("| --- " * (3 + len(ALGORITHMS)) + "|", flush=True)
    for layer in layers(candidate.file, candidate.images[: options.images]):
        print(f"| {' | '.join(cells(layer))} |", flush=True)


def cells(layer: Layer) -> Iterator[str]:
    """Yield the cells of a line."""
    exact = plain(layer.images.astype(np.float64), layer.filters.astype(np.float64)) + layer.biases
    yield layer.name
    yield "x".join(map(str, layer.filters.shape))
    yield f"{np.abs(exact).max():,.0f}"
    for algorithm in ALGORITHMS.values():
        try:
            error = measure(algorithm, layer, exact)
        except NotImplementedError:
            yield ""
            continue
        yield f"{error.largest:.2g} ({error.wrong} of {error.count:,})"


def measure(algorithm: Algorithm, layer: Layer, exact: NDArray[np.float64]) -> Error:
    """Compare an algorithm's accumulators with the exact ones.

    Raises
    ------
    NotImplementedError
        If the algorithm does not take filters of this size.
    """
    sums = algorithm(layer.images, layer.filters) + layer.biases
    wrong = int((np.rint(sums) != exact).sum())
    return Error(float(np.abs(sums - exact).max()), wrong, exact.size)


def layers(file: bytes, images: Images) -> Iterator[Layer]:
    """Yield the convolutions of a file with what they get for `images`.

    Raises
    ------
    NotImplementedError
        If a convolution has strides, dilations or groups.
    """
    model = onnx.load_from_string(file)
    values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type == "Conv"]
    names = [node.input[0] for node in found]
    session = start(with_outputs(model, names), CPU, threads=1)
    for node, given in zip(found, session.run(names, {INPUT: images}), strict=True):
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if {1} != {*attributes["strides"], *attributes["dilations"], attributes["group"]}:
            raise NotImplementedError(f"'{node.output[0]}' has strides, dilations or groups.")
        top, left, bottom, right = attributes["pads"]
        padded = np.pad(given, ((0, 0), (0, 0), (top, bottom), (left, right)))
        biases = values[node.input[2]].reshape(-1, 1, 1)
        yield Layer(node.output[0], padded, values[node.input[1]], biases)


def plain(images: NDArray[Real], filters: NDArray[Real]) -> NDArray[Real]:
    """Sum products, in the arithmetic of the arrays."""
    windows = sliding_window_view(images, filters.shape[2:], axis=(2, 3))
    sums = np.tensordot(windows, filters, ((1, 4, 5), (1, 2, 3)))
    return np.moveaxis(np.asarray(sums, images.dtype), -1, 1)


def tf32(values: Floats) -> Floats:
    """Round to the 11 significant bits of TF32, halves to even."""
    bits = values.view(np.uint32)
    up = np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1))
    return ((bits + up) & np.uint32(0xFFFFE000)).view(np.float32)


def plain_tf32(images: Floats, filters: Floats) -> Floats:
    """Sum products of factors that were rounded to TF32."""
    return plain(tf32(images), tf32(filters))


def fourier(images: Floats, filters: Floats) -> Floats:
    """Multiply transforms in complex64: a correlation, so one of them is conjugated."""
    size = scipy.fft.next_fast_len(images.shape[2], real=True)
    shape = size, size
    image, kernel = scipy.fft.rfft2(images, shape), scipy.fft.rfft2(filters, shape)
    # A product of matrices for each frequency.
    product = np.moveaxis(image, (0, 1), (2, 3)) @ np.moveaxis(kernel.conj(), (0, 1), (3, 2))
    sums = scipy.fft.irfft2(np.moveaxis(product, (2, 3), (0, 1)), shape)
    high, wide = (images.shape[axis] - filters.shape[axis] + 1 for axis in (2, 3))
    return np.ascontiguousarray(sums[:, :, :high, :wide], np.float32)


def _float32(*rows: list[float]) -> Floats:
    return np.array(rows, np.float32)


_TO_2 = (
    _float32([1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]),
    _float32([1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]),
    _float32([1, 1, 1, 0], [0, 1, -1, -1]),
)
_TO_4 = (
    _float32(
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ),
    _float32(
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ),
    _float32([1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]),
)


def winograd(matrices: tuple[Floats, Floats, Floats]) -> Algorithm:
    """Return minimal filtering with B^T, G and A^T, for filters of 3 x 3.

    A^T [(G w G^T) * (B^T x B)] A gives one tile of the sums; all of it is computed in float32.
    """
    to_tile, to_filter, back = matrices
    step, tile = back.shape

    def sums(images: Floats, filters: Floats) -> Floats:
        if filters.shape[2:] != (3, 3):
            raise NotImplementedError(f"Winograd's matrices are for 3 x 3, not {filters.shape}.")
        number, _, *size = images.shape
        high, wide = (length - 2 for length in size)
        more = [(0, -(-length // step) * step - length) for length in (high, wide)]
        padded = np.pad(images, ((0, 0), (0, 0), *more))
        tiles = sliding_window_view(padded, (tile, tile), axis=(2, 3))[:, :, ::step, ::step]
        # [t, t, N, down, across, C] @ [t, t, 1, C, K], summed over the channels.
        x = np.moveaxis(to_tile @ tiles @ to_tile.T, (4, 5, 1), (0, 1, -1))
        w = np.moveaxis(to_filter @ filters @ to_filter.T, (2, 3, 1), (0, 1, 2))
        y = np.moveaxis(x @ w[:, :, None, None], (0, 1), (-2, -1))
        # [N, down, across, K, step, step] -> [N, K, down * step, across * step]
        y = (back @ y @ back.T).transpose(0, 3, 1, 4, 2, 5)
        whole = np.asarray(y, np.float32).reshape(
            number, len(filters), high + more[0][1], wide + more[1][1]
        )
        return whole[:, :, :high, :wide]

    return sums


ALGORITHMS: dict[str, Algorithm] = {
    "plain sums, TF32": plain_tf32,
    "Winograd 2x2": winograd(_TO_2),
    "Winograd 4x4": winograd(_TO_4),
    "Fourier": fourier,
}


if __name__ == "__main__":
    main()
