"""The orbit average as a graph: exact in every bit on what runs, and not |G| times the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from artifact.audit_set import load_audit_set
from audit import mutate
from audit.proof import prove
from export.onnx_import.size import network_size
from export.onnx_import.symmetrise import symmetrise
from export.runtime import open_model
from imaging import grid_symmetries

VERSION = Path("model_repository/rotmnist-cnn/1")
PLAIN = onnx.load(VERSION / "model.onnx")
IMAGES = load_audit_set(VERSION / "audit.npz").images[:70]


@pytest.fixture
def small(exported: Callable[[str], onnx.ModelProto]) -> onnx.ModelProto:
    """A network without a symmetry, of 12 x 12 pixels."""
    return exported("trivial")


@pytest.mark.parametrize(("group", "threads"), [("C4", 2), ("D4", 1)])
def test_every_bit_of_the_answer_is_that_of_the_rotated_image(group: str, threads: int) -> None:
    classify = open_model(symmetrise(PLAIN, group).SerializeToString(), threads)
    for count in (1, 3, 64):
        images = IMAGES[:count]
        upright = classify(images).view(np.uint32)
        for element in grid_symmetries(group):
            rotated = classify(np.ascontiguousarray(element(images)))
            assert np.array_equal(rotated.view(np.uint32), upright), element.name


def test_images_of_a_batch_may_be_rotated_each_in_its_own_way() -> None:
    classify = open_model(symmetrise(PLAIN, "D4").SerializeToString())
    elements = grid_symmetries("D4")
    mixed = np.stack([elements[i % 8](image) for i, image in enumerate(IMAGES)])
    assert np.array_equal(classify(mixed).view(np.uint32), classify(IMAGES).view(np.uint32))


def test_the_answer_is_the_mean_over_the_orbit() -> None:
    plain, averaged = (
        open_model(model.SerializeToString()) for model in (PLAIN, symmetrise(PLAIN, "D4"))
    )
    votes = [plain(np.ascontiguousarray(g(IMAGES))) for g in grid_symmetries("D4")]
    np.testing.assert_allclose(averaged(IMAGES), np.mean(votes, axis=0), rtol=1e-5, atol=1e-5)


def test_tensors_of_a_file_may_be_called_as_those_of_the_orbit() -> None:
    named = onnx.ModelProto()
    named.CopyFrom(PLAIN)
    inner = [name for node in named.graph.node for name in node.output]
    taken = dict(zip(inner, ("turn", "row", "vote", "flat", "votes", "ranked"), strict=False))
    taken.pop("logits", None)
    for node in named.graph.node:
        node.input[:] = [taken.get(name, name) for name in node.input]
        node.output[:] = [taken.get(name, name) for name in node.output]
    classify, same = (
        open_model(symmetrise(each, "C4").SerializeToString()) for each in (named, PLAIN)
    )
    assert np.array_equal(classify(IMAGES), same(IMAGES))


@pytest.mark.slow
@pytest.mark.parametrize(("group", "order"), [("C4", 4), ("D4", 8)])
def test_it_is_proved_costs_the_order_of_the_group_and_stores_its_weights_once(
    group: str, order: int, small: onnx.ModelProto
) -> None:
    data = symmetrise(small, group).SerializeToString()
    proof = prove(data, group)
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "repeated")
    assert prove(mutate(data), group).outcome == "NOT PROVED"

    averaged = symmetrise(PLAIN, group)
    before, after = network_size(PLAIN), network_size(averaged)
    assert after.multiply_adds == order * before.multiply_adds
    assert after.baked_parameters == before.baked_parameters + 1  # which the sum is divided by
    assert averaged.ByteSize() < 1.15 * PLAIN.ByteSize()


@pytest.mark.slow
def test_of_a_group_that_it_was_not_averaged_over_nothing_is_proved(
    small: onnx.ModelProto,
) -> None:
    assert prove(symmetrise(small, "C4").SerializeToString(), "D4").outcome == "NOT PROVED"


def test_a_group_without_grid_symmetries_is_refused() -> None:
    with pytest.raises(ValueError, match="C3"):
        symmetrise(PLAIN, "C3")
