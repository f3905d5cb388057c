"""The card of a model version: the file card.json beside model.onnx."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_serializer, model_validator

from artifact.figures import (
    AuditFigures,
    Exactness,
    Metric,
    NetworkSize,
    Parity,
    ProofFigures,
    Speed,
)
from artifact.files import MOST_CARD
from artifact.identity import ModelIdentity, MultiLabel
from artifact.json_document import read_json
from artifact.origin import Origin
from artifact.values import Count, Group, Magnitude, Part, Percent, Precision, Sha256, Value
from imaging import LEAST_WHITE, MOST_WHITE, FitPolicy, check_grid
from imaging.files import FileRefusedError, read_file
from imaging.refusal import RefusedError


class InputSpec(Value):
    """What the model's input is, and how an image becomes one.

    Attributes
    ----------
    white_level
        The sample that is white in images of more than 8 bits whose file does not state its own
        depth; None, which a card does not mention, for the largest one of their depth.
    """

    channels: Literal[1, 3]
    fit: FitPolicy
    white_level: Annotated[int, Field(ge=LEAST_WHITE, le=MOST_WHITE)] | None = Field(
        default=None, exclude_if=lambda level: level is None
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: channels, height, width."""
        return (self.channels, *self.fit.shape)

    @field_serializer("fit")
    def _spell_out(self, fit: FitPolicy) -> dict[str, str | int]:
        """Leave out what only some policies have, as cards from before do."""
        spelled: dict[str, str | int] = {"size": fit.size, "mode": fit.mode, "fill": fit.fill}
        if fit.resize is not None:
            spelled["resize"] = fit.resize
        if fit.filter != "bilinear":
            spelled["filter"] = fit.filter
        if fit.width is not None:
            spelled["width"] = fit.width
        return spelled


class AuditSetInfo(Value):
    """The file audit.npz beside the card; its licence is that of the data set it is a part of."""

    sha256: Sha256
    count: Count
    source: str
    licence: str


class Counterpart(Value):
    """The same integers written for other devices, and whether they give the same bits."""

    precision: Precision
    sha256: Sha256
    images: Count
    bits_equal: bool


class Conversion(Value):
    """How a version was made from one of float32, and what that changed on the test images.

    Attributes
    ----------
    source
        The version that it was made from.
    calibration
        The images that the ranges of activations were measured on; None where none are needed.
    source_error_percent
        Of the source on the images of `metrics.test`.
    label_agreement
        Part of these images that get the label that the source gives.
    max_abs_logits
        Largest distance of a logit from the source's.
    """

    source: ModelIdentity
    calibration: str | None
    source_error_percent: Percent
    label_agreement: Part
    max_abs_logits: Magnitude
    counterpart: Counterpart | None
    speed: Speed


class Training(Value):
    """Where the weights come from."""

    data_set: str
    data_sha256: str
    recipe: dict[str, Any]
    seed: int
    epochs: Count


class Card(Value):
    """Everything that is known about a model version.

    Attributes
    ----------
    group
        The group that the network is invariant under by construction; `"trivial"` for none.
    multi_label
        Whether classes do not exclude each other, so that each has a probability of its own and an
        image may get several labels, or none; a card of another model does not mention it.
    sha256
        Of the file model.onnx.
    proof
        What is proved from the file; None on cards from before there were proofs.
    exactness
        What was measured of what runs, when the version was packaged.
    parity, training
        None for a model from elsewhere.
    metrics
        By the part of the data: `"test"`, or `"audit"` for the labels of the audit set.
    conversion
        Of a version that was made from another one.
    origin
        Of a model from elsewhere.
    """

    schema_version: Literal[1] = 1
    name: str
    version: Annotated[int, Field(ge=1)]
    description: str
    group: Group
    precision: Precision
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    multi_label: MultiLabel = False
    input: InputSpec
    sha256: Sha256
    proof: ProofFigures | None = None
    exactness: Exactness | None = None
    parity: Parity | None = None
    metrics: dict[str, Metric] = Field(default_factory=dict)
    size: NetworkSize
    audit_set: AuditSetInfo
    audit: AuditFigures
    training: Training | None = None
    conversion: Conversion | None = None
    origin: Origin | None = None

    @model_validator(mode="before")
    @classmethod
    def _licence_once(cls, fields: Any) -> Any:
        """Read cards from before, which have that of the audit set twice."""
        if isinstance(fields, dict):
            return {name: value for name, value in fields.items() if name != "data_licence"}
        return fields

    @model_validator(mode="after")
    def _symmetries_of_the_input(self) -> Self:
        for group in (self.group, self.audit.group):
            check_grid(group, *self.input.fit.shape)
        return self

    @property
    def identity(self) -> ModelIdentity:
        """What a report says about the model it audited."""
        return ModelIdentity(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            group=self.group,
            precision=self.precision,
            classes=self.classes,
            multi_label=self.multi_label,
        )


def load_card(path: Path) -> Card:
    """Read a card.

    Raises
    ------
    ValueError
        If there is no card at the path or it is broken, in one sentence that names the field.
    """
    try:
        data = read_file(path, MOST_CARD)
    except FileRefusedError as error:
        raise RefusedError(f"The card {path} {error}.") from error
    return parse_card(data, path)


def parse_card(data: bytes, path: Path) -> Card:
    """Read a card from the bytes of a file; the path is for the ValueError if it is broken."""
    try:
        card = Card.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        complaint = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise RefusedError(f"The card {path} is broken at {field}: {complaint}.") from error
    try:
        read_json(data)
    except ValueError as error:
        raise RefusedError(f"The card {path} is broken: {error}.") from error
    return card
