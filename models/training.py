"""Training: a recipe, the loop over epochs, and the error on a set of images."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models.augmentation import Augmentation, augment, enlarge
from models.datasets.split import Split
from models.networks import Network, NetworkSpec

Progress = Callable[[int], None]
"""Called with the number of images that were just worked on."""


class Recipe(BaseModel):
    """How a network is trained.

    Attributes
    ----------
    learning_rate, warmup
        Peak of the one-cycle schedule, and the part of all steps until it; a cosine leads to zero.
    averaging
        Decay a step of the exponential moving average of the weights, which is what is kept.
    validation
        Images held out of the training set, its last ones, for choices between recipes.
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
    arithmetic: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0


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
    the step, so that weights, optimiser and average are the whole state.
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

    @property
    def result(self) -> Network:
        """The network with averaged weights."""
        return cast(Network, self.average.module)

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as ``load_state_dict`` takes it."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": [epoch.model_dump() for epoch in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where ``state_dict`` was called."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = [Epoch.model_validate(epoch) for epoch in state["history"]]

    def epochs(self, data: Split, progress: Progress = lambda _: None) -> Iterator[Epoch]:
        """Train on ``data`` epoch by epoch, from the first that is missing to the recipe's last."""
        held_out = self.recipe.validation
        images = torch.from_numpy(data.images)
        train = len(data) - held_out
        enlarged, labels = enlarge(images[:train]), torch.from_numpy(data.labels[:train])
        for number in range(len(self.history), self.recipe.epochs):
            start = time.perf_counter()
            loss, error = self._epoch(number, enlarged, labels, progress)
            self.history.append(
                Epoch(
                    epoch=number + 1,
                    loss=loss,
                    train_error=error,
                    validation_error=error_percent(self.result, data[train:]) if held_out else None,
                    learning_rate=self.optimiser.param_groups[0]["lr"],
                    seconds=time.perf_counter() - start,
                )
            )
            yield self.history[-1]

    def _epoch(
        self, number: int, enlarged: Tensor, labels: Tensor, progress: Progress
    ) -> tuple[float, float]:
        seed = int(np.random.SeedSequence((self.recipe.seed, number)).generate_state(1)[0])
        random = torch.manual_seed(seed)
        order = torch.randperm(len(labels), generator=random)
        # An incomplete last batch would weigh its images more; other epochs see those left out.
        batches = order.split(self.recipe.batch_size)
        if len(batches) > 1 and len(batches[-1]) < self.recipe.batch_size:
            batches = batches[:-1]
        self.network.train()
        losses, wrong = 0.0, 0
        for i, rows in enumerate(batches):
            self._set_learning_rate((number + i / len(batches)) / self.recipe.epochs)
            x = augment(enlarged[rows], self.recipe.augmentation, random)
            with _autocast(self.recipe):
                logits = self.network(x).float()
            loss = F.cross_entropy(
                logits, labels[rows], label_smoothing=self.recipe.label_smoothing
            )
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.average.update_parameters(self.network)
            losses += loss.item()
            wrong += int((logits.argmax(1) != labels[rows]).sum())
            progress(len(rows))
        return losses / len(batches), 100 * wrong / sum(map(len, batches))

    def _set_learning_rate(self, part: float) -> None:
        warmup = self.recipe.warmup
        if part < warmup:
            factor = part / warmup
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (part - warmup) / (1 - warmup)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * factor


def error_percent(
    network: nn.Module, data: Split, *, batch_size: int = 500, progress: Progress = lambda _: None
) -> float:
    """Return the percentage of ``data`` that ``network`` gets wrong, in float32."""
    network.eval()
    wrong = 0
    with torch.inference_mode():
        for start in range(0, len(data), batch_size):
            part = data[start : start + batch_size]
            labels = network(torch.from_numpy(part.images)).argmax(1)
            wrong += int((labels != torch.from_numpy(part.labels)).sum())
            progress(len(part))
    return 100 * wrong / len(data)


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
