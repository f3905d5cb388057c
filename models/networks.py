"""Networks as data: a declarative specification, and the module built from it."""

from collections.abc import Iterator
from typing import Annotated, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from models.filters import FilterBasis, GridBasis
from models.geometry import output_size
from models.groups import Group
from models.layers import (
    GroupBatchNorm,
    GroupConv,
    GroupLinearMap,
    GroupMaxPool2d,
    GroupPool,
    LiftingConv,
    Restriction,
    SeparableGroupConv,
)
from models.steerable import SteerableBasis


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
    separable: bool = False


class MaxPooling(Window):
    """Maximum over a window of pixels."""

    kind: Literal["max_pooling"] = "max_pooling"


class RestrictTo(_Spec):
    """From here on, only the symmetries of a subgroup are kept."""

    kind: Literal["restriction"] = "restriction"
    group: str


LayerSpec = Annotated[Convolution | MaxPooling | RestrictTo, Field(discriminator="kind")]


class NetworkSpec(_Spec):
    """A classifier: layers, then the maximum over group and pixels, dropout, a linear map.

    Attributes
    ----------
    group
        A name that ``Group.named`` reads; "trivial" makes a plain CNN.
    basis
        "grid" filters have a free value a pixel and rotation by quarter turns; "steerable" ones
        rotate by any angle.
    channels, size
        Channels and side of the square input image, in pixels.
    mean, deviation
        Of the training images in 0..1; one number for all channels.
    dropout
        Probability that training leaves out a feature before the linear map.
    field_dropout
        Probability that training leaves out a whole field, all of an orbit at all pixels, after
        each convolution but the last. Single values would not do: a maximum over an orbit or a
        window nearly always finds one that was kept, and enlarged.
    """

    group: str
    basis: Literal["grid", "steerable"] = "grid"
    channels: Literal[1, 3] = 1
    size: int = Field(gt=0)
    classes: int = Field(gt=1)
    mean: float
    deviation: float = Field(gt=0)
    layers: tuple[LayerSpec, ...] = Field(min_length=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    field_dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _is_a_network(self) -> "NetworkSpec":
        Group.named(self.group)
        first, last = self.layers[0], self.layers[-1]
        if not isinstance(first, Convolution) or first.separable:
            raise ValueError("The first layer lifts the image: it is a convolution, not separable.")
        if isinstance(last, RestrictTo):
            raise ValueError("A restriction is followed by other layers: it is not the last one.")
        return self

    def filter_basis(self, kernel: int) -> FilterBasis:
        """Return the basis of filters of ``kernel`` pixels."""
        return SteerableBasis(kernel) if self.basis == "steerable" else GridBasis(kernel)

    def sides(self) -> Iterator[tuple[LayerSpec, int]]:
        """Yield every layer with the side of its output, in pixels.

        Raises
        ------
        SizeError
            If a layer breaks the size rule; the message names it by its number and kind.
        """
        side = self.size
        for number, layer in enumerate(self.layers, start=1):
            if isinstance(layer, Window):
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
        group, features = self.group, int(spec.channels)
        last = max(i for i, layer in enumerate(spec.layers) if isinstance(layer, Convolution))
        for i, (layer, _) in enumerate(spec.sides()):
            match layer:
                case Convolution():
                    kind = self._kind(layer)
                    basis = spec.filter_basis(layer.kernel)
                    window = {"stride": layer.stride, "padding": layer.padding}
                    self.body.append(kind(group, basis, features, layer.channels, **window))
                    self.body.append(GroupBatchNorm(layer.channels))
                    self.body.append(nn.ReLU())
                    if spec.field_dropout and i != last:
                        self.body.append(nn.Dropout3d(spec.field_dropout))
                    features = layer.channels
                case MaxPooling():
                    self.body.append(GroupMaxPool2d(layer.kernel, layer.stride, layer.padding))
                case RestrictTo():
                    subgroup = Group.named(layer.group)
                    self.body.append(Restriction(group, subgroup))
                    features *= group.order // subgroup.order
                    group = subgroup
                case _:
                    assert_never(layer)
        self.pool = GroupPool()
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(features, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify the images ``x``: uint8 or float in 0..255."""
        image = self.pool(self.body(self.normalise(x)))
        logits: Tensor = self.head(self.dropout(image.amax((2, 3))))
        return logits

    def _kind(self, layer: Convolution) -> type[LiftingConv | GroupConv | SeparableGroupConv]:
        if not self.body:
            return LiftingConv
        return SeparableGroupConv if layer.separable else GroupConv


def free_parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: Network) -> int:
    """Return how many multiply-adds one image takes through the baked network."""
    side = network.spec.size
    total = network.head.weight.numel()
    convolutions = (layer for layer in network.body if isinstance(layer, GroupLinearMap))
    for layer, after in network.spec.sides():
        if isinstance(layer, Convolution):
            for conv in next(convolutions).expand():
                kernel = conv.weight.shape[-1]
                side = output_size(side, kernel, conv.stride, conv.padding, "convolution")
                total += side**2 * conv.weight.numel()
        side = after
    return total
