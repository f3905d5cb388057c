"""Accumulators tell whether products were summed as they are; tried where the answer is known."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks.gpu import accumulators, algorithms
from benchmarks.gpu.candidates import candidates
from benchmarks.gpu.configurations import configurations
from service.engine.graph import buckets

REPOSITORY = Path(__file__).parents[2] / "model_repository"
WAYS = configurations("cpu")


@pytest.fixture(scope="module")
def found():
    names = ["rotmnist-c4-integer", "rotmnist-c4-int8"]
    return {each.name: each for each in candidates(REPOSITORY, names)}


def test_the_cpu_sums_whole_numbers(found):
    integer = found["rotmnist-c4-integer"]
    model = onnx.load_from_string(integer.file)
    # Of six convolutions and the linear map at the end.
    assert len(accumulators.accumulators(model)) == 7
    for _, *cells in accumulators.rows(integer.file, integer.images, WAYS, buckets(8)):
        assert cells == ["0"] * 4


@pytest.mark.parametrize("layer", range(7))
def test_a_fraction_in_any_layer_is_seen_though_no_logit_moves(found, layer):
    integer = found["rotmnist-c4-integer"]
    mutant = onnx.load_from_string(integer.file)
    name = accumulators.accumulators(mutant)[layer]
    biased = next(node.input[2] for node in mutant.graph.node if name in node.output)
    tensor = next(each for each in mutant.graph.initializer if each.name == biased)
    values = numpy_helper.to_array(tensor) + np.float32(0.25)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    file = mutant.SerializeToString()
    for _, *cells in accumulators.rows(file, integer.images, WAYS, (1, 3)):
        assert cells == ["0.25", "0.25"]
    logits = [
        accumulators.start(each, algorithms.CPU, 1).run(["logits"], {"image": integer.images[:8]})
        for each in (integer.file, file)
    ]
    np.testing.assert_array_equal(*logits)


def test_a_file_of_another_precision_is_refused(found):
    with pytest.raises(ValueError, match="no file of precision 'integer'"):
        accumulators.accumulators(onnx.load_from_string(found["rotmnist-c4-int8"].file))


@pytest.mark.parametrize("size", [6, 7, 9, 12])
@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_every_algorithm_computes_a_convolution(name, size):
    rng = np.random.default_rng(size)
    images = rng.integers(0, 9, (2, 5, size, size)).astype(np.float32)
    filters = rng.integers(-9, 9, (4, 5, 3, 3)).astype(np.float32)
    sums = algorithms.ALGORITHMS[name](images, filters)
    assert sums.dtype == np.float32
    windows = [
        (images[:, None, :, y : y + 3, x : x + 3] * filters).sum((2, 3, 4))
        for y in range(size - 2)
        for x in range(size - 2)
    ]
    direct = np.stack(windows, -1).reshape(2, 4, size - 2, size - 2)
    np.testing.assert_allclose(sums, direct, atol=0.01)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(255, 255), (-64, -64), (2047, 2047), (2049, 2048), (2051, 2052), (-2049.5, -2050), (0, 0)],
)
def test_tf32_keeps_eleven_bits(value, rounded):
    assert algorithms.tf32(np.array([value], np.float32)) == rounded


def test_errors_and_wrong_numbers_are_counted():
    images, filters = np.ones((1, 1, 2, 2), np.float32), np.ones((1, 1, 1, 1), np.float32)
    layer = algorithms.Layer("sum", images, filters, np.zeros((1, 1, 1), np.float32))
    off = np.array([[[[0, 0.25], [0.75, 1.25]]]], np.float32)
    error = algorithms.measure(lambda x, w: x + off, layer, images.astype(np.float64))
    assert error == algorithms.Error(1.25, 2, 4)


def test_only_sums_of_products_keep_every_accumulator_of_a_shipped_network(found):
    integer = found["rotmnist-c4-integer"]
    for layer in algorithms.layers(integer.file, integer.images[:4]):
        _, _, largest, tf32, _, winograd, _ = algorithms.cells(layer)
        assert float(largest.replace(",", "")) > 10_000
        assert tf32.startswith("0 (0 of ")
        assert winograd == "" or float(winograd.split()[0]) > 0.01
