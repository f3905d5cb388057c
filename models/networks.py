"""Networks as data: a declarative specification, and the module built from it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from models.filters import GridBasis
from models.geometry import output_size
from models.groups import Group
from models.layers import GroupBatchNorm, GroupConv, GroupMaxPool2d, InvariantPool, LiftingConv


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Spec):
    """A square window that slides over a square input, in pixels."""

    kernel: int = Field(gt=0)
    stride: int = Field(default=1, gt=0)
    padding: int = Field(default=0, ge=0)


class Convolution(Window):
    """Convolution, batch normalisation, ReLU. ``channels`` counts fields, not fields times |G|."""

    kind: Literal["convolution"] = "convolution"
    channels: int = Field(gt=0)


class MaxPooling(Window):
    """Maximum over a window of pixels."""

    kind: Literal["max_pooling"] = "max_pooling"


LayerSpec = Annotated[Convolution | MaxPooling, Field(discriminator="kind")]


class NetworkSpec(_Spec):
    """A classifier: layers, then the maximum over group and pixels, dropout, a linear map.

    Attributes
    ----------
    group
        A name that ``Group.named`` reads; "trivial" makes a plain CNN.
    channels, size
        Channels and side of the square input image, in pixels.
    mean, deviation
        Of the training images in 0..1; one number for all channels.
    """

    group: str
    channels: Literal[1, 3] = 1
    size: int = Field(gt=0)
    classes: int = Field(gt=1)
    mean: float
    deviation: float = Field(gt=0)
    layers: tuple[LayerSpec, ...] = Field(min_length=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _is_a_network(self) -> "NetworkSpec":
        Group.named(self.group)
        if not isinstance(self.layers[0], Convolution):
            raise ValueError("The first layer lifts the image to the group: it is a convolution.")
        return self

    def sides(self) -> Iterator[tuple[LayerSpec, int]]:
        """Yield every layer with the side of its output, in pixels.

        Raises
        ------
        SizeError
            If a layer breaks the size rule; the message names it by its number and kind.
        """
        side = self.size
        for number, layer in enumerate(self.layers, start=1):
            name = f"layer {number} ({layer.kind})"
            side = output_size(side, layer.kernel, layer.stride, layer.padding, name)
            yield layer, side


class Normalise(nn.Module):
    """Map grey levels 0..255 to zero mean and unit deviation, as one product and one difference."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.scale = 1 / (255 * deviation)
        self.shift = mean / deviation

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``: uint8 or float in 0..255, to float32."""
        return x.float() * self.scale - self.shift


class Network(nn.Module):
    """The classifier that ``spec`` describes: grey levels ``[N, C, n, n] -> logits [N, K]``.

    Raises
    ------
    SizeError
        If a layer breaks the size rule.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.group = Group.named(spec.group)
        self.normalise = Normalise(spec.mean, spec.deviation)
        self.body = nn.Sequential()
        features: int = spec.channels
        for layer, _ in spec.sides():
            if isinstance(layer, Convolution):
                self._append_convolution(layer, features)
                features = layer.channels
            else:
                self.body.append(GroupMaxPool2d(layer.kernel, layer.stride, layer.padding))
        self.pool = InvariantPool()
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(features, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify the images ``x``: uint8 or float in 0..255."""
        features = self.pool(self.body(self.normalise(x)))
        logits: Tensor = self.head(self.dropout(features))
        return logits

    def _append_convolution(self, layer: Convolution, in_channels: int) -> None:
        kind = GroupConv if self.body else LiftingConv
        self.body.append(
            kind(
                self.group,
                GridBasis(layer.kernel),
                in_channels,
                layer.channels,
                stride=layer.stride,
                padding=layer.padding,
            )
        )
        self.body.append(GroupBatchNorm(layer.channels))
        self.body.append(nn.ReLU())


def free_parameters(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(spec: NetworkSpec) -> int:
    """Return the multiplications and additions of one image through the baked network."""
    order = Group.named(spec.group).order
    total, inputs = 0, int(spec.channels)
    for layer, side in spec.sides():
        if isinstance(layer, Convolution):
            outputs = layer.channels * order
            total += side**2 * layer.kernel**2 * inputs * outputs
            inputs = outputs
    return total + inputs // order * spec.classes
