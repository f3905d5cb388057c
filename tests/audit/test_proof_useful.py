"""Networks that are invariant by construction, as torch and onnxruntime write them: all proved."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.proof import prove
from tests.audit.exported import CHANNELS, SIZE, Whole, assert_proved, export, symmetric
from tests.audit.fuzz.judge import judge, run_alone

# Some seconds each, of which torch takes most.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("exporter")]
FEATURES = 4
Body = Callable[[Tensor], Tensor]


def plain() -> nn.Module:
    """A classifier with no symmetry at all."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, FEATURES, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(FEATURES, FEATURES, 3),
        nn.Flatten(),
        nn.Linear(FEATURES * 4, 3),
    )


def rotated(image: Tensor) -> list[Tensor]:
    """The four quarter turns, by what both exporters can write."""
    views = [image]
    for _ in range(3):
        views.append(views[-1].transpose(2, 3).flip(2))
    return views


def broken(image: Tensor) -> list[Tensor]:
    """Three quarter turns and a mirror image, which are no orbit."""
    return [*rotated(image)[:3], image.flip(3)]


def summed(views: list[Tensor], f: Body) -> Tensor:
    return sum(f(view) for view in views) / 4  # type: ignore[return-value]


def largest(views: list[Tensor], f: Body) -> Tensor:
    return torch.stack([f(view) for view in views]).amax(0)


def mean(views: list[Tensor], f: Body) -> Tensor:
    return torch.stack([f(view) for view in views]).mean(0)


def viewed(views: list[Tensor], f: Body) -> Tensor:
    return f(torch.cat(views, 0)).view(4, views[0].shape[0], -1).mean(0)


def chunked(views: list[Tensor], f: Body) -> Tensor:
    a, b, c, d = f(torch.cat(views, 0)).chunk(4)
    return a + b + c + d


ORBITS: dict[str, Callable[..., Tensor]] = {
    "summed": summed,
    "largest": largest,
    "mean": mean,
    "viewed": viewed,
    "chunked": chunked,
}


def averaged(*parts: nn.Module) -> nn.Module:
    """The average over the orbit of what the parts do one after the other."""
    return Whole({"f": nn.Sequential(*parts)}, lambda x, f: mean(rotated(x), f))


def orbit(combine: Callable[..., Tensor], views: Callable[[Tensor], list[Tensor]]) -> nn.Module:
    return Whole({"f": plain()}, lambda x, f: combine(views(x), f))


class Tokens(nn.Module):
    """Patches and a class token, mixed by attention that einsum writes."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.patches = nn.Conv2d(CHANNELS, width, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, (SIZE // 2) ** 2 + 1, width))
        self.keys, self.values = nn.Linear(width, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 3)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        token = self.token.expand(image.shape[0], -1, -1)
        x = torch.cat([token, patches], 1) + self.place
        weights = torch.einsum("nqc,nkc->nqk", self.keys(x), x).softmax(-1)
        mixed: Tensor = torch.einsum("nqk,nkc->nqc", weights, self.values(x))
        answer: Tensor = self.head(mixed[:, 0])
        return answer


class Along(nn.Module):
    """A convolution over the channels of a pooled tensor, as in efficient channel attention."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3)).unsqueeze(1)
        gate = self.line(pooled).squeeze(1).sigmoid()
        return x * gate[:, :, None, None]


class Deep(nn.Module):
    """A convolution over space and channels."""

    def __init__(self) -> None:
        super().__init__()
        self.space = nn.Conv3d(1, 3, (2, 3, 3), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.space(x.unsqueeze(1)).flatten(1, 2)
        return answer


class Scaled(nn.Module):
    """Interpolation."""

    def __init__(self, factor: float, mode: str) -> None:
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factor, mode=self.mode)


def pooled(x: Tensor, over: str) -> Tensor:
    return x.std((2, 3)) if over == "std" else x.var((2, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "class token and einsum": lambda: averaged(Tokens()),
    "transposed, averaged": lambda: averaged(
        nn.Conv2d(CHANNELS, 3, 2, stride=2),
        nn.ConvTranspose2d(3, 2, 3, stride=2),
        nn.Flatten(),
        nn.Linear(162, 3),
    ),
    "transposed, symmetric": lambda: Whole(
        {"f": symmetric(CHANNELS, 3, transposed=True)}, lambda x, f: f(x).amax((2, 3))
    ),
    "line, averaged": lambda: averaged(
        nn.Conv2d(CHANNELS, 5, 3), Along(), nn.Flatten(), nn.Linear(180, 3)
    ),
    "line, symmetric": lambda: Whole(
        {"f": symmetric(CHANNELS, 5), "g": Along()}, lambda x, f, g: g(f(x)).amax((2, 3))
    ),
    "space, averaged": lambda: averaged(Deep(), nn.Flatten(), nn.LazyLinear(3)),
    "cubic by 2": lambda: Whole(
        {"f": symmetric(CHANNELS, 3)},
        lambda x, f: F.interpolate(f(x), scale_factor=2, mode="bicubic").amax((2, 3)),
    ),
    "cubic by 2, averaged": lambda: averaged(
        Scaled(2, "bicubic"), nn.Conv2d(CHANNELS, 3, 3, stride=3), nn.Flatten(), nn.LazyLinear(3)
    ),
    "linear by 1.5, averaged": lambda: averaged(
        Scaled(1.5, "bilinear"), nn.Conv2d(CHANNELS, 3, 3, stride=3), nn.Flatten(), nn.LazyLinear(3)
    ),
    "std": lambda: Whole({"f": symmetric(CHANNELS, 3)}, lambda x, f: pooled(f(x), "std")),
    "var": lambda: Whole({"f": symmetric(CHANNELS, 3)}, lambda x, f: pooled(f(x), "var")),
}


def cases(names: Iterable[str]) -> list[Any]:
    """Return every name with each of the two exporters."""
    return [
        pytest.param(name, dynamo, id=f"{name}, {'new' if dynamo else 'old'}")
        for name in names
        for dynamo in (True, False)
    ]


@pytest.mark.parametrize(("name", "dynamo"), cases(ORBITS))
def test_what_is_made_of_an_orbit_is_proved(name: str, dynamo: bool) -> None:
    torch.manual_seed(3)
    assert_proved(export(orbit(ORBITS[name], rotated), dynamo=dynamo))


@pytest.mark.parametrize(("name", "dynamo"), cases(ORBITS))
def test_three_rotations_and_a_mirror_image_are_refused(name: str, dynamo: bool) -> None:
    torch.manual_seed(3)
    model = export(orbit(ORBITS[name], broken), dynamo=dynamo)
    assert prove(model.SerializeToString(), "C4", runtime=run_alone).outcome == "NOT PROVED"
    assert judge(model).deviates


@pytest.mark.parametrize(("name", "dynamo"), cases(NETWORKS))
def test_what_torch_exports_is_proved(name: str, dynamo: bool) -> None:
    torch.manual_seed(3)
    assert_proved(export(NETWORKS[name](), dynamo=dynamo))
