"""Training on the CPU and on an NVIDIA GPU, and from one to the other."""

import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from imaging.refusal import RefusedError
from models.augmentation import Augmentation
from models.checkpoint import Run
from models.datasets.split import Split
from models.devices import autocast, be_deterministic, convolutions, find_device, is_mixed
from models.networks import Convolution, MaxPooling, NetworkSpec, RestrictTo
from models.recipe import Recipe
from models.run_info import RunInfo
from models.training import Training, predict

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU here"
)

SPEC = NetworkSpec(
    group="D8",
    basis="steerable",
    size=12,
    classes=2,
    mean=0.5,
    deviation=0.3,
    layers=(
        Convolution(channels=2, kernel=3, padding=1),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=2, kernel=3, padding=1, separable=True),
        RestrictTo(group="C8"),
        Convolution(channels=4, kernel=3),
    ),
    field_dropout=0.1,
)
RECIPE = Recipe(
    epochs=4,
    batch_size=16,
    learning_rate=0.02,
    validation=32,
    mixing=0.2,
    arithmetic="float32",
    augmentation=Augmentation(degrees=180, scale=0.1, shear=0.1, elastic=0.5, exposure=0.1),
)


def stripes_and_rings(count=160):
    random = np.random.default_rng(0)
    y, x = np.mgrid[:12, :12] - 5.5
    labels = random.integers(0, 2, count)
    images = np.where(labels[:, None, None], np.sin(np.hypot(x, y)), np.sin(x)) * 90 + 127
    noisy = images + random.normal(0, 10, images.shape)
    return Split(noisy.clip(0, 255).astype(np.uint8)[:, None], labels)


def begin(folder, recipe=RECIPE):
    info = RunInfo(
        network=SPEC,
        recipe=recipe,
        data_set="toy",
        data_sha256="0" * 64,
        data_licence="none",
        classes=("stripes", "rings"),
    )
    return Run.begin(folder, info, resume=True)


def losses_of_a_move(folder, first, then):
    """Train two epochs on a device and the last two on another, by way of the files."""
    run = begin(folder)
    for device, epochs in ((first, 2), (then, 2)):
        training = run.training(torch.device(device))
        for _, _epoch in zip(range(epochs), training.epochs(stripes_and_rings()), strict=False):
            run.record(training)
    return [epoch.loss for epoch in training.history]


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    for there, found in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert find_device("auto").type == found
        assert find_device("cpu").type == "cpu"


@without_gpu
def test_a_gpu_that_is_not_there_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"no NVIDIA GPU.*--device cpu") as error:
        find_device("cuda")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", "float16"])
def test_a_recipe_names_the_arithmetic(arithmetic):
    with autocast(torch.device("cpu"), arithmetic):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == getattr(torch, arithmetic)


@pytest.mark.parametrize(("hardware", "dtype"), [(True, torch.bfloat16), (False, None)])
def test_half_precision_is_chosen_on_a_gpu_that_has_it_and_never_on_a_cpu(
    monkeypatch, hardware, dtype
):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: hardware)
    assert is_mixed(torch.device("cuda"), "auto") == (dtype is not None)
    assert not is_mixed(torch.device("cuda"), "float32")
    assert not is_mixed(torch.device("cpu"), "auto")


def dtypes_of_convolutions(monkeypatch):
    seen = []
    convolve = torch.nn.functional.conv2d

    def recorded(x, *others):
        y = convolve(x, *others)
        seen.append(y.dtype)
        return y

    monkeypatch.setattr("models.layers.F.conv2d", recorded)
    return seen


@pytest.mark.slow
def test_errors_are_measured_in_float32_whatever_the_steps_are_computed_in(monkeypatch):
    seen = dtypes_of_convolutions(monkeypatch)
    recipe = RECIPE.model_copy(update={"epochs": 1, "arithmetic": "bfloat16"})
    training = Training(SPEC, recipe)
    next(training.epochs(stripes_and_rings(48)))
    assert set(seen) == {torch.bfloat16, torch.float32}
    seen.clear()
    predict(training.result, stripes_and_rings(8).images)
    assert set(seen) == {torch.float32}


@pytest.mark.slow
def test_in_float16_gradients_are_scaled_and_the_scale_is_kept(tmp_path):
    recipe = RECIPE.model_copy(update={"arithmetic": "float16"})
    run = begin(tmp_path, recipe)
    training = run.training()
    training.scaler.load_state_dict(training.scaler.state_dict() | {"scale": 2.0**7})
    run.record(training)
    first = next(run.training().epochs(stripes_and_rings(64)))
    assert run.training().scaler.get_scale() == 2.0**7
    assert first.loss == pytest.approx(
        next(Training(SPEC, RECIPE).epochs(stripes_and_rings(64))).loss, rel=0.05
    )


def test_deterministic_is_what_convolutions_are_then_and_no_algorithm_is_searched(monkeypatch):
    flags = []
    monkeypatch.setattr(torch.backends.cudnn, "flags", lambda **given: flags.append(given))
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    # PyTorch's own tells its compiler too, whose import takes seconds.
    switch = torch._C._set_deterministic_algorithms
    monkeypatch.setattr(torch, "use_deterministic_algorithms", switch)
    try:
        convolutions(search=True)
        be_deterministic()
        assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
        convolutions(search=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert [(given["benchmark"], given["deterministic"]) for given in flags] == [
        (True, False),
        (False, True),
    ]
    assert not any(given["allow_tf32"] for given in flags)


class OneDevice(TorchDispatchMode):
    """Refuses an operation on tensors of several devices, as a GPU does or is slowed down by."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        given = tree_leaves((args, kwargs))
        devices = {x.device.type for x in given if isinstance(x, torch.Tensor) and x.dim()}
        copies = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
        assert len(devices) < 2 or operation in copies, f"{operation} of {devices}"
        return operation(*args, **(kwargs or {}))


def steps_on_another_device(monkeypatch):
    """Return how many images an epoch's steps saw on a device that has shapes and no numbers."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    recipe = RECIPE.model_copy(update={"class_weights": True})
    training, seen = Training(SPEC, recipe, torch.device("meta")), []
    monkeypatch.setattr(training, "_class_weights", lambda _: None)  # numbers decide its shape
    with OneDevice(), pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        next(training.epochs(stripes_and_rings(64), seen.append))  # until its loss is read
    return sum(seen)


@pytest.mark.slow
def test_every_tensor_of_a_step_is_made_on_the_networks_device(monkeypatch):
    assert steps_on_another_device(monkeypatch) == 32
    make = torch.rand  # a mutant: what is drawn on the CPU stays there
    monkeypatch.setattr(
        "models.augmentation._grid",
        lambda count, side, *_: make(count, side, side, 2),
    )
    with pytest.raises(AssertionError, match="grid_sampler"):
        steps_on_another_device(monkeypatch)


@pytest.mark.slow
def test_a_gpu_whose_memory_is_full_is_told_in_one_sentence(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    training = Training(SPEC, RECIPE)
    monkeypatch.setattr(training, "_epoch", full)
    with pytest.raises(RefusedError, match=r"batches of 16 images.*--batch-size[^\n]*\.$"):
        next(training.epochs(stripes_and_rings()))


@pytest.mark.slow
def test_a_checkpoint_does_not_name_its_device(tmp_path):
    straight = losses_of_a_move(tmp_path, "cpu", "cpu")
    state = torch.load(tmp_path / "checkpoint.pt", map_location="meta", weights_only=True)
    assert len(state["history"]) == len(straight) == RECIPE.epochs


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("first", "then"), [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
def test_a_run_goes_on_on_another_device(first, then, tmp_path):
    """Dropout draws other numbers there, so that the losses are near and not equal."""
    straight = losses_of_a_move(tmp_path / "straight", "cpu", "cpu")
    moved = losses_of_a_move(tmp_path / "moved", first, then)
    assert moved == pytest.approx(straight, abs=0.2)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_sees_the_same_images_and_gives_the_same_labels():
    data = stripes_and_rings()
    plain = RECIPE.model_copy(update={"epochs": 1, "batch_size": 128})
    spec = SPEC.model_copy(update={"field_dropout": 0.0})
    trainings = [Training(spec, plain, torch.device(name)) for name in ("cpu", "cuda")]
    # One batch, so that the loss is that of the first weights on the augmented images.
    losses = [next(training.epochs(data)).loss for training in trainings]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    on_cpu, on_gpu = (training.network.eval() for training in trainings)
    on_cpu.load_state_dict(on_gpu.state_dict())
    assert np.array_equal(predict(on_cpu, data.images), predict(on_gpu, data.images))


@pytest.mark.gpu
@needs_gpu
def test_a_deterministic_run_repeats_itself_bit_for_bit_on_a_gpu(tmp_path):
    script = (
        "import sys, torch; from models.devices import be_deterministic; be_deterministic();"
        "from pathlib import Path; from tests.models.test_devices import losses_of_a_move;"
        "print(losses_of_a_move(Path(sys.argv[1]), 'cuda', 'cuda'))"
    )
    done = [
        subprocess.run(
            [sys.executable, "-c", script, tmp_path / name], capture_output=True, text=True
        )
        for name in ("one", "other")
    ]
    assert done[0].stdout == done[1].stdout != "", done[0].stderr


@pytest.mark.gpu
@needs_gpu
def test_training_in_bfloat16_learns_on_a_gpu():
    recipe = RECIPE.model_copy(update={"epochs": 8, "arithmetic": "auto"})
    *_, last = Training(SPEC, recipe, torch.device("cuda")).epochs(stripes_and_rings())
    assert last.validation_error < 15
