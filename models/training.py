"""Training: the loop over epochs, and the labels and error on a set of images."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from imaging.refusal import RefusedError
from models.augmentation import TrainingImages
from models.datasets.split import Split
from models.devices import autocast, convolutions, loss_scaler
from models.networks import Network, NetworkSpec
from models.recipe import Recipe
from models.targets import Teacher, mix, one_hot

Progress = Callable[[int], None]
"""Called with the number of images that were just worked on."""

Draw = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""From rows of the data set to what a network sees, what it is to answer, and what that is without
a teacher's say."""

ParameterList = tuple[Tensor, ...] | list[Tensor]

# How much an evaluation works on at once: 500 images of 28 x 28 pixels, or as many pixels of larger
# ones, so that its memory does not grow with the images.
BATCH_PIXELS = 500 * 28 * 28


class Epoch(BaseModel):
    """What the metrics log keeps of one epoch; errors are in percent."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    loss: float
    train_error: float
    validation_error: float | None
    learning_rate: float
    seconds: float
    images_per_second: float | None = None


class Training:
    """A network on its way: everything that must be kept to go on with identical results.

    Random numbers are drawn from the seed and the epoch alone and the learning rate follows from
    the step, so that weights, optimiser, average, best epoch and history are the whole state. It
    may be loaded on another device, which goes on with the same order of images and its own
    rounding, and where there is dropout with other random numbers.

    Attributes
    ----------
    answers
        By copy of the images, what a teacher said of it: float32 ``[N, K]``, with the labels' share
        in it. What is here is not asked again.

    Raises
    ------
    ValueError
        If the recipe needs a teacher and there is none, or draws cracks of a class that is not
        there.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        recipe: Recipe,
        device: torch.device | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        check_teacher(recipe, taught=teacher is not None)
        if recipe.cracks and max(recipe.cracks.intact, recipe.cracks.cracked) >= spec.classes:
            raise RefusedError(
                f"Cracks make an image of class {recipe.cracks.intact} one of class "
                f"{recipe.cracks.cracked}; the {spec.classes} classes begin at 0."
            )
        torch.manual_seed(recipe.seed)
        self.recipe, self.teacher = recipe, teacher
        self.device = device or torch.device("cpu")
        self.network = Network(spec).to(self.device)
        self.average = AveragedModel(
            self.network, multi_avg_fn=self._move_average, use_buffers=True
        )
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), weight_decay=recipe.weight_decay
        )
        self.scaler = loss_scaler(self.device, recipe.arithmetic)
        self.history: list[Epoch] = []
        self.answers: dict[int, Tensor] = {}
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
        since = max(best.epoch, self.recipe.extended_at) if best else 0
        stale = patience and best and len(self.history) - since >= patience
        return bool(stale) or len(self.history) >= self.recipe.epochs

    def start_from(self, network: Network, *, keep_head: bool) -> None:
        """Take another network's weights as the first ones; with its head if its classes are same.

        Both networks have the same specification, but for the number of classes.
        """
        given = network.state_dict()
        kept = {k: v for k, v in given.items() if keep_head or not k.startswith("head.")}
        for mine in filter(None, (self.network, self._averaged, self._best)):
            mine.load_state_dict(mine.state_dict() | kept)

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as ``load_state_dict`` takes it."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": [epoch.model_dump() for epoch in self.history],
        }
        return state | ({"best": self._best.state_dict()} if self._best else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where ``state_dict`` was called."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        self.history = [Epoch.model_validate(epoch) for epoch in state["history"]]
        if self._best:
            self._best.load_state_dict(state["best"])

    def epochs(
        self, data: Split, progress: Progress = lambda _: None, *, validation: Split | None = None
    ) -> Iterator[Epoch]:
        """Train on ``data`` epoch by epoch, from the first that is missing until it is over.

        Where the recipe holds no images out, the averaged weights are judged on ``validation``.
        """
        train = len(data) - self.recipe.validation
        images = TrainingImages(torch.from_numpy(data.images[:train]), self.device)
        labels = torch.from_numpy(data.labels[:train]).to(self.device)
        targets = self._targets(data[:train]).to(self.device)
        judges = data[train:] or validation
        while not self.is_over:
            start = time.perf_counter()
            try:
                with convolutions(search=True):
                    loss, error, count = self._epoch(
                        len(self.history), images, labels, targets, progress
                    )
            except torch.OutOfMemoryError as full:
                raise RefusedError(
                    f"The GPU's memory does not hold batches of {self.recipe.batch_size} images of "
                    "this network; a smaller --batch-size, or --device cpu, is what may help."
                ) from full
            rate = count / (time.perf_counter() - start)
            held_out = error_percent(self._averaged, judges) if judges else None
            self.history.append(
                Epoch(
                    epoch=len(self.history) + 1,
                    loss=loss,
                    train_error=error,
                    validation_error=held_out,
                    learning_rate=self.optimiser.param_groups[0]["lr"],
                    seconds=time.perf_counter() - start,
                    images_per_second=rate,
                )
            )
            if self._best and self.best is self.history[-1]:
                self._best.load_state_dict(self._averaged.state_dict())
            yield self.history[-1]

    @property
    def _averaged(self) -> Network:
        return cast(Network, self.average.module)

    def _epoch(
        self,
        number: int,
        images: TrainingImages,
        labels: Tensor,
        targets: Tensor,
        progress: Progress,
    ) -> tuple[float, float, int]:
        """Return the mean loss, the error in percent, and how many images were seen."""
        random = torch.manual_seed(self._seed(number))
        order = torch.randperm(len(labels), generator=random)
        # An incomplete last batch would weigh its images more; other epochs see those left out.
        batches = order.split(self.recipe.batch_size)
        if len(batches) > 1 and len(batches[-1]) < self.recipe.batch_size:
            batches = batches[:-1]
        if self.recipe.views:
            draw = self._view(number % self.recipe.views, images, targets)
        else:
            draw = partial(self._drawn, images, targets, random)
        weights = self._class_weights(labels)
        self.network.train()
        losses, wrong = [], []
        for i, batch in enumerate(batches):
            rows = batch.to(self.device)
            self._set_learning_rate((number + i / len(batches)) / self.recipe.epochs)
            x, wanted, said = draw(rows)
            with autocast(self.device, self.recipe.arithmetic):
                logits = self.network(x).float()
            loss = F.cross_entropy(
                logits, wanted, weights, label_smoothing=self.recipe.label_smoothing
            )
            self.optimiser.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.average.update_parameters(self.network)
            # Read at the end: to look at a number is to wait for a GPU.
            losses.append(loss.detach())
            right = said.argmax(1) if self.recipe.cracks else labels[rows]
            wrong.append((logits.argmax(1) != right).sum())
            progress(len(rows))
        count = sum(map(len, batches))
        error = 100 * int(torch.stack(wrong).sum()) / count
        return sum(torch.stack(losses).tolist()) / len(batches), error, count

    def _seed(self, number: int) -> int:
        return int(np.random.SeedSequence((self.recipe.seed, number)).generate_state(1)[0])

    def _drawn(
        self, images: TrainingImages, targets: Tensor, random: torch.Generator, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `Draw` does."""
        x, said = self._mixed(images, targets, random, rows)
        return x, self._taught(x, said), said

    def _view(self, view: int, images: TrainingImages, targets: Tensor) -> Draw:
        """Return what draws from one copy of all images; the teacher is asked the first time."""
        random = torch.Generator().manual_seed(self._seed(view))
        rows = torch.arange(len(targets), device=self.device).split(self.recipe.batch_size)
        parts = [self._mixed(images, targets, random, each) for each in rows]
        if view not in self.answers:
            self.answers[view] = torch.cat([self._taught(*part) for part in parts])
        x, wanted = torch.cat([x for x, _ in parts]), self.answers[view]
        said = torch.cat([said for _, said in parts])
        return lambda rows: (x[rows], wanted[rows], said[rows])

    def _mixed(
        self, images: TrainingImages, targets: Tensor, random: torch.Generator, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return augmented, cracked and mixed images, and what is said of them after that."""
        x, wanted = images.augmented(rows, self.recipe.augmentation, random), targets[rows]
        if self.recipe.cracks:
            done = len(self.history) / self.recipe.epochs
            x, wanted = self.recipe.cracks.drawn(x, wanted, done, random)
        if self.recipe.mixing:
            x, wanted = mix(x, wanted, self.recipe.mixing, random)
        return x, wanted

    def _targets(self, data: Split) -> Tensor:
        """Return the labels int64 ``[N]``, or probabilities ``[N, K]`` where the recipe needs them.

        Raises
        ------
        RefusedError
            If the recipe asks for soft labels and nobody gave any.
        """
        if self.recipe.soft_labels:
            if data.soft_labels is None:
                raise RefusedError("This recipe learns soft labels, and the data set has none.")
            return torch.from_numpy(data.soft_labels)
        labels = torch.from_numpy(data.labels)
        if self.recipe.cracks or self.recipe.mixing or self.recipe.teaching:
            return one_hot(labels, self.network.spec.classes)
        return labels

    def _taught(self, x: Tensor, wanted: Tensor) -> Tensor:
        """Return what is to be answered, with the teacher's say in it."""
        if not (self.recipe.teaching and self.teacher):
            return wanted
        with torch.no_grad(), autocast(self.device, self.recipe.arithmetic):
            return torch.lerp(wanted, self.teacher(x).float(), self.recipe.teaching)

    def _move_average(
        self, averages: ParameterList, currents: ParameterList, _: Tensor | int
    ) -> None:
        """Move an exponential average that forgets its first, random values sooner."""
        steps = int(self.average.n_averaged)
        part = 1 - min(self.recipe.averaging, (1 + steps) / (10 + steps))
        if averages[0].is_floating_point():
            moves = torch._foreach_sub(currents, averages)
            torch._foreach_mul_(moves, part)
            torch._foreach_add_(averages, moves)
        else:
            for average, current in zip(averages, currents, strict=True):
                average.copy_(average + part * (current - average))

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


def check_teacher(recipe: Recipe, *, taught: bool) -> None:
    """Refuse a recipe that learns from a teacher where there is none."""
    if recipe.teaching and not taught:
        raise RefusedError("This recipe learns from a teacher: --teacher names its run.")


def predict(
    network: nn.Module, images: NDArray[np.uint8], *, progress: Progress = lambda _: None
) -> NDArray[np.int64]:
    """Return the label int64 ``[N]`` that ``network`` gives each image, in float32."""
    network.eval()
    device = next(network.parameters()).device
    batch_size = max(1, BATCH_PIXELS // (images.shape[-2] * images.shape[-1]))
    labels = []
    with torch.inference_mode(), convolutions():
        for batch in torch.from_numpy(images).split(batch_size):
            labels.append(network(batch.to(device)).argmax(1).cpu().numpy())
            progress(len(batch))
    return np.concatenate(labels)


def error_percent(network: nn.Module, data: Split, *, progress: Progress = lambda _: None) -> float:
    """Return the percentage of ``data`` that ``network`` gets wrong, in float32."""
    wrong = predict(network, data.images, progress=progress) != data.labels
    return 100 * int(wrong.sum()) / len(data)
