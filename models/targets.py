"""What a network is taught to answer: labels, mixtures of two, or a teacher's probabilities."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Teacher = Callable[[Tensor], Tensor]
"""From grey levels ``[N, C, n, n]`` to probabilities ``[N, K]``."""


def mix(
    x: Tensor, targets: Tensor, largest: float, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix every image and its probabilities with those of another image of the batch.

    The other's share is uniform in ``0..largest``; Zhang et al., "mixup: Beyond Empirical Risk
    Minimization", ICLR 2018, draw it from a beta distribution.
    """
    share = (largest * torch.rand(len(x), generator=random)).to(x.device)
    partner = torch.randperm(len(x), generator=random).to(x.device)
    x = torch.lerp(x, x[partner], share[:, None, None, None])
    return x, torch.lerp(targets, targets[partner], share[:, None])


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return labels int64 ``[N]`` as probabilities float32 ``[N, K]``."""
    return F.one_hot(labels, classes).float()


def mean_of(teachers: Sequence[Teacher]) -> Teacher | None:
    """Return the teacher that answers as several do in the mean; None where there is none."""
    if not teachers:
        return None
    return lambda x: torch.stack([teacher(x) for teacher in teachers]).mean(0)
