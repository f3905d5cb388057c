from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from audit import Classifier, Thresholds, evaluate_orbit, mutate, self_test
from imaging import GridSymmetry, grid_symmetries

Kernels = NDArray[np.float32]


def network(*kernels: Kernels, raw: bool = True) -> bytes:
    """uint8 [N, 1, H, W] -> (Conv, Relu) for each kernel -> mean over the pixels -> 5 logits."""
    rng = np.random.default_rng(7)
    head = rng.normal(size=(kernels[-1].shape[0], 5)).astype(np.float32) / 255
    nodes = [helper.make_node("Cast", ["image"], ["x0"], to=TensorProto.FLOAT)]
    initialisers = [numpy_helper.from_array(head, "head")]
    for i, kernel in enumerate(kernels):
        pad = kernel.shape[-1] // 2
        name = f"kernel{i}"
        nodes += [
            helper.make_node("Conv", [f"x{i}", name], [f"y{i}"], name=f"conv{i}", pads=[pad] * 4),
            helper.make_node("Relu", [f"y{i}"], [f"x{i + 1}"]),
        ]
        data = kernel.tobytes() if raw else kernel.ravel()
        initialisers.append(
            helper.make_tensor(name, TensorProto.FLOAT, kernel.shape, data, raw=raw)
        )
    nodes += [
        helper.make_node("GlobalAveragePool", [f"x{len(kernels)}"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["features"]),
        helper.make_node("MatMul", ["features", "head"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, "H", "W"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])
    graph = helper.make_graph(nodes, "network", [image], [logits], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"group": "C4"})
    return bytes(model.SerializeToString())


def build(model: bytes) -> Classifier:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"image": images})[0]


def random_kernels(*shape: int) -> Kernels:
    return np.random.default_rng(8).normal(size=shape).astype(np.float32)


def isotropic_kernels(outputs: int) -> Kernels:
    """Symmetric under D4, with the largest weight in the middle, which no rotation moves."""
    corner, edge, middle = random_kernels(3, outputs) + np.float32([[0], [0], [9]])
    rows = [[corner, edge, corner], [edge, middle, edge], [corner, edge, corner]]
    return np.array(rows).transpose(2, 0, 1)[:, None]


INVARIANT = network(isotropic_kernels(8))
PLAIN = network(random_kernels(8, 1, 3, 3))


# --- the self-test ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [INVARIANT, PLAIN], ids=["invariant", "plain"])
@pytest.mark.parametrize("group", ["C2", "C4", "D4"])
def test_a_sound_procedure_passes_on_any_network(
    model: bytes, group: str, images: NDArray[np.uint8], thresholds: Thresholds
) -> None:
    outcome = self_test(model, build, images, group=group, thresholds=thresholds)
    assert outcome.mutant == "FAIL"
    assert outcome.known_invariant != "FAIL"
    assert outcome.passed


def test_the_network_itself_is_invariant_and_its_mutant_is_not(
    images: NDArray[np.uint8],
) -> None:
    def deviation(model: bytes) -> float:
        orbit = evaluate_orbit(build(model), images, grid_symmetries("C4"))
        return orbit.relative(float(orbit.logit_deviation.max()))

    assert deviation(INVARIANT) < 1e-5
    assert deviation(mutate(INVARIANT)) > 1e-3


def test_few_images_from_all_over_the_set_are_asked(
    images: NDArray[np.uint8], thresholds: Thresholds
) -> None:
    seen: set[bytes] = set()

    def recording(model: bytes) -> Classifier:
        classify = build(model)

        def record(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
            seen.update(image.tobytes() for image in batch)
            return classify(batch)

        return record

    outcome = self_test(INVARIANT, recording, images, group="C4", thresholds=thresholds)
    asked = [n for n, image in enumerate(images) if image.tobytes() in seen]
    assert outcome.images == len(asked) <= 32
    assert max(np.diff([*asked, len(images)])) <= 2 * len(images) / 32


def test_no_images_are_refused(thresholds: Thresholds) -> None:
    with pytest.raises(ValueError, match="at least one image is accepted"):
        self_test(
            INVARIANT,
            build,
            np.zeros((0, 1, 8, 8), np.uint8),
            group="C4",
            thresholds=thresholds,
        )


def test_an_audit_that_does_not_look_at_the_file_is_caught(
    images: NDArray[np.uint8], thresholds: Thresholds
) -> None:
    cached = build(INVARIANT)
    outcome = self_test(INVARIANT, lambda _: cached, images, group="C4", thresholds=thresholds)
    assert outcome.mutant != "FAIL"
    assert not outcome.passed


def test_images_that_cannot_show_a_broken_symmetry_are_caught(thresholds: Thresholds) -> None:
    black = np.zeros((40, 1, 8, 8), np.uint8)
    outcome = self_test(INVARIANT, build, black, group="C4", thresholds=thresholds)
    assert not outcome.passed


def test_an_audit_that_sees_broken_symmetries_everywhere_is_caught(
    images: NDArray[np.uint8], thresholds: Thresholds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant of the audit: what it calls a rotation makes an image brighter as well."""
    rotate_images = GridSymmetry.__call__

    def brighter(self: GridSymmetry, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return rotate_images(self, array) | np.uint8(0 if self == GridSymmetry(False, 0) else 128)

    monkeypatch.setattr("imaging.symmetries.GridSymmetry.__call__", brighter)
    outcome = self_test(INVARIANT, build, images, group="C4", thresholds=thresholds)
    assert outcome.known_invariant == "FAIL"
    assert not outcome.passed


# --- the mutant -------------------------------------------------------------------------------


def kernel_of(model: bytes, index: int = 0) -> tuple[Any, Kernels]:
    proto = onnx.load_model_from_string(model)
    tensor = next(t for t in proto.graph.initializer if t.name == f"kernel{index}")
    return proto, numpy_helper.to_array(tensor)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("side", [2, 3, 5])
def test_a_mutant_differs_in_the_sign_of_one_weight_and_in_nothing_else(
    raw: bool, side: int
) -> None:
    model = network(random_kernels(4, 1, side, side), random_kernels(3, 4, 3, 3), raw=raw)
    original, before = kernel_of(model)
    changed, after = kernel_of(mutate(model))

    [place] = np.argwhere(before != after)
    assert after[tuple(place)] == -before[tuple(place)]
    candidates = np.abs(before)
    if side % 2:
        assert tuple(place[2:]) != (side // 2, side // 2)
        candidates[:, :, side // 2, side // 2] = 0
    assert np.abs(before[tuple(place)]) == candidates.max()

    onnx.checker.check_model(changed)
    for proto in (original, changed):
        tensor = next(t for t in proto.graph.initializer if t.name == "kernel0")
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
    assert original == changed


def test_the_mutant_of_a_file_is_always_the_same() -> None:
    assert mutate(INVARIANT) == mutate(INVARIANT)
    assert mutate(INVARIANT) != INVARIANT


def test_a_pixelwise_convolution_is_passed_over() -> None:
    model = network(random_kernels(4, 1, 1, 1), random_kernels(3, 4, 3, 3))
    mutant = mutate(model)
    assert np.array_equal(kernel_of(model, 0)[1], kernel_of(mutant, 0)[1])
    assert (kernel_of(model, 1)[1] != kernel_of(mutant, 1)[1]).sum() == 1


@pytest.mark.parametrize(
    "kernels",
    [random_kernels(4, 1, 1, 1), np.zeros((4, 1, 3, 3), np.float32)],
    ids=["pixelwise", "zero"],
)
def test_a_network_without_a_weight_to_change_is_refused(kernels: Kernels) -> None:
    with pytest.raises(ValueError, match="cannot be mutated"):
        mutate(network(kernels))
