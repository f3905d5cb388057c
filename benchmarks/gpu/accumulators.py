"""Whether a device sums the products of an `integer` file as they are: accumulators are whole.

Run ``python -m benchmarks.gpu.accumulators --device cuda``. A convolution by Winograd's algorithm
or by Fourier transforms multiplies and divides what it sums, and leaves fractions. A Round behind
it takes nearly all of them away, so that logits of the right bits do not show which algorithm ran;
the accumulators before that Round do.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from artifact.batch_sizes import buckets
from artifact.contract import INPUT, Images
from audit.exactness import BATCH_SIZES
from benchmarks.gpu.candidates import candidates
from benchmarks.gpu.configurations import DEVICES, configurations
from service.engine import DeviceUnavailableError
from service.engine.providers import ProviderConfiguration, start
from service.engine.queue import Floats

_SUMS = ("Conv", "Gemm", "MatMul")


def main() -> None:
    """Print a Markdown table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["rotmnist-c4-integer"])
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    options = parser.parse_args()
    try:
        ways = configurations(options.device)
    except DeviceUnavailableError as error:
        sys.exit(str(error))
    sizes = buckets(max(BATCH_SIZES))
    print("Accumulators differ from whole numbers by at most, in batches of\n")
    print(f"| model | runs as | {' | '.join(map(str, sizes))} |")
    print("| --- " * (2 + len(sizes)) + "|", flush=True)
    for candidate in candidates(options.repository, options.models):
        for name, *found in rows(candidate.file, candidate.images, ways, sizes):
            print(f"| {candidate.name} | {name} | {' | '.join(found)} |", flush=True)


def rows(
    file: bytes, images: Images, ways: Mapping[str, ProviderConfiguration], sizes: Sequence[int]
) -> Iterator[list[str]]:
    """Yield the cells of a line for each configuration that captures no CUDA graph.

    A graph repeats the kernels that were captured, those of the same configuration without.
    """
    model = onnx.load_from_string(file)
    names = accumulators(model)
    shown = with_outputs(model, names)
    for way, configuration in ways.items():
        if configuration.captures:
            continue
        try:
            session = start(shown, configuration, threads=1)
        except RuntimeError as error:
            yield [way, f"refused: {error}", *("" for _ in sizes[1:])]
            continue
        yield [way, *(f"{fraction(session.run(names, {INPUT: images[:n]})):.2g}" for n in sizes)]


def fraction(arrays: Sequence[Floats]) -> float:
    """Return by how much a number differs at most from a whole one."""
    return max(float(np.abs(array - np.rint(array)).max()) for array in arrays)


def accumulators(model: onnx.ModelProto) -> list[str]:
    """Name the tensors that a convolution or matrix product gives to a Round.

    Raises
    ------
    ValueError
        If there are none: the file is not of precision `integer`.
    """
    sums = {node.output[0] for node in model.graph.node if node.op_type in _SUMS}
    rounded = [node.input[0] for node in model.graph.node if node.op_type == "Round"]
    if not (names := [name for name in rounded if name in sums]):
        raise ValueError("No Round follows a sum: this is no file of precision 'integer'.")
    return names


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """Serialise a graph that gives these float32 tensors as well, of whatever shape they have."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    shown.graph.output.extend(values)
    return bytes(shown.SerializeToString())


if __name__ == "__main__":
    main()
