"""Training: a recipe, the loop over epochs, and the labels and error on a set of images."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models.augmentation import Augmentation, TrainingImages
from models.datasets.split import Split
from models.networks import Network, NetworkSpec

Progress = Callable[[int], None]
"""Called with the number of images that were just worked on."""

# How much an evaluation works on at once: 500 images of 28 x 28 pixels, or as many pixels of larger
# ones, so that its memory does not grow with the images.
BATCH_PIXELS = 500 * 28 * 28


class Recipe(BaseModel):
    """How a network is trained.

    Attributes
    ----------
    learning_rate, warmup
        Peak of the one-cycle schedule, and the part of all steps until it; a cosine leads to zero.
    averaging
        Decay a step of the exponential moving average of the weights, which is what is kept.
    validation
        Images held out of the training set, its last ones, for early stopping or for choices
        between recipes.
    patience
        Epochs without a smaller error on the held-out images that end the training early; what is
        kept are then the averaged weights of the best epoch. Without it, those of the last.
    class_weights
        Whether the loss weighs an image by the inverse frequency of its class, one on average.
    arithmetic
        "auto" is bfloat16 autocast where the CPU multiplies it in hardware, else float32.
        Evaluation is always in float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(gt=0)
    batch_size: int = Field(default=128, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    warmup: float = Field(default=0.1, gt=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    averaging: float = Field(default=0.998, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    validation: int = Field(default=0, ge=0)
    patience: int | None = Field(default=None, gt=0)
    class_weights: bool = False
    arithmetic: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0

    @model_validator(mode="after")
    def _can_stop_early(self) -> "Recipe":
        if self.patience is not None and not self.validation:
            raise ValueError("Early stopping needs held-out images: patience without validation.")
        return self


class Epoch(BaseModel):
    """What the metrics log keeps of one epoch; errors are in percent."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    loss: float
    train_error: float
    validation_error: float | None
    learning_rate: float
    seconds: float


class Training:
    """A network on its way: everything that must be kept to go on with identical results.

    Random numbers are drawn from the seed and the epoch alone and the learning rate follows from
    the step, so that weights, optimiser, average, best epoch and history are the whole state.
    """

    def __init__(self, spec: NetworkSpec, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.network = Network(spec)
        self.average = AveragedModel(
            self.network, avg_fn=_moving_average(recipe.averaging), use_buffers=True
        )
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), weight_decay=recipe.weight_decay
        )
        self.history: list[Epoch] = []
        self._best = copy.deepcopy(self._averaged) if recipe.patience else None

    @property
    def result(self) -> Network:
        """The network with averaged weights: of the best epoch if the recipe has a patience."""
        return self._best or self._averaged

    @property
    def best(self) -> Epoch | None:
        """The first epoch with the smallest error on the held-out images."""
        judged = [epoch for epoch in self.history if epoch.validation_error is not None]
        return min(judged, key=lambda epoch: cast(float, epoch.validation_error), default=None)

    @property
    def kept_epoch(self) -> int:
        """The number of the epoch whose averaged weights ``result`` has."""
        return self.best.epoch if self._best and self.best else len(self.history)

    @property
    def is_over(self) -> bool:
        """Whether all epochs have run, or too many of them since the best."""
        patience, best = self.recipe.patience, self.best
        stale = patience and best and len(self.history) - best.epoch >= patience
        return bool(stale) or len(self.history) >= self.recipe.epochs

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as ``load_state_dict`` takes it."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": [epoch.model_dump() for epoch in self.history],
        }
        return state | ({"best": self._best.state_dict()} if self._best else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where ``state_dict`` was called."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = [Epoch.model_validate(epoch) for epoch in state["history"]]
        if self._best:
            self._best.load_state_dict(state["best"])

    def epochs(self, data: Split, progress: Progress = lambda _: None) -> Iterator[Epoch]:
        """Train on ``data`` epoch by epoch, from the first that is missing until it is over."""
        train = len(data) - self.recipe.validation
        images = TrainingImages(torch.from_numpy(data.images[:train]))
        labels = torch.from_numpy(data.labels[:train])
        while not self.is_over:
            start = time.perf_counter()
            loss, error = self._epoch(len(self.history), images, labels, progress)
            held_out = error_percent(self._averaged, data[train:]) if data[train:] else None
            self.history.append(
                Epoch(
                    epoch=len(self.history) + 1,
                    loss=loss,
                    train_error=error,
                    validation_error=held_out,
                    learning_rate=self.optimiser.param_groups[0]["lr"],
                    seconds=time.perf_counter() - start,
                )
            )
            if self._best and self.best is self.history[-1]:
                self._best.load_state_dict(self._averaged.state_dict())
            yield self.history[-1]

    @property
    def _averaged(self) -> Network:
        return cast(Network, self.average.module)

    def _epoch(
        self, number: int, images: TrainingImages, labels: Tensor, progress: Progress
    ) -> tuple[float, float]:
        seed = int(np.random.SeedSequence((self.recipe.seed, number)).generate_state(1)[0])
        random = torch.manual_seed(seed)
        order = torch.randperm(len(labels), generator=random)
        # An incomplete last batch would weigh its images more; other epochs see those left out.
        batches = order.split(self.recipe.batch_size)
        if len(batches) > 1 and len(batches[-1]) < self.recipe.batch_size:
            batches = batches[:-1]
        weights = self._class_weights(labels)
        self.network.train()
        losses, wrong = 0.0, 0
        for i, rows in enumerate(batches):
            self._set_learning_rate((number + i / len(batches)) / self.recipe.epochs)
            x = images.augmented(rows, self.recipe.augmentation, random)
            with _autocast(self.recipe):
                logits = self.network(x).float()
            loss = F.cross_entropy(
                logits, labels[rows], weights, label_smoothing=self.recipe.label_smoothing
            )
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.average.update_parameters(self.network)
            losses += loss.item()
            wrong += int((logits.argmax(1) != labels[rows]).sum())
            progress(len(rows))
        return losses / len(batches), 100 * wrong / sum(map(len, batches))

    def _class_weights(self, labels: Tensor) -> Tensor | None:
        if not self.recipe.class_weights:
            return None
        classes = self.network.spec.classes
        counts = labels.bincount(minlength=classes).clamp(min=1)  # an absent class has no image
        return len(labels) / (classes * counts)

    def _set_learning_rate(self, part: float) -> None:
        warmup = self.recipe.warmup
        if part < warmup:
            factor = part / warmup
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (part - warmup) / (1 - warmup)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * factor


def predict(
    network: nn.Module, images: NDArray[np.uint8], *, progress: Progress = lambda _: None
) -> NDArray[np.int64]:
    """Return the label int64 ``[N]`` that ``network`` gives each image, in float32."""
    network.eval()
    batch_size = max(1, BATCH_PIXELS // (images.shape[-2] * images.shape[-1]))
    labels = []
    with torch.inference_mode():
        for batch in torch.from_numpy(images).split(batch_size):
            labels.append(network(batch).argmax(1).numpy())
            progress(len(batch))
    return np.concatenate(labels)


def error_percent(network: nn.Module, data: Split, *, progress: Progress = lambda _: None) -> float:
    """Return the percentage of ``data`` that ``network`` gets wrong, in float32."""
    wrong = predict(network, data.images, progress=progress) != data.labels
    return 100 * int(wrong.sum()) / len(data)


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return an exponential moving average that forgets its first, random values sooner."""

    def update(average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return average + (1 - keep) * (current - average)

    return update


def _autocast(recipe: Recipe) -> torch.autocast:
    in_hardware = torch.cpu.get_capabilities().get("avx512_bf16", False)
    enabled = recipe.arithmetic == "bfloat16" or (recipe.arithmetic == "auto" and in_hardware)
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(enabled))
