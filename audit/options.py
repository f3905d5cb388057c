"""What an audit can be asked for: the command's options, a query's parameters, a file's fields."""

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from artifact.values import Precision
from audit.angles import AnglePlan, AngleThresholds
from audit.pipeline import ResolvedOptions
from audit.thresholds import LOGIT_TOLERANCE, Thresholds
from audit.values import CLASS_AGREEMENT
from imaging import Method, Resampler

Part = Annotated[float, Field(ge=0.01, le=0.9999)]
"""A part of all images that must keep a label: with none, or all, no number of images shows it."""

QUICK_IMAGES: Final = 100


class AuditOptions(BaseModel):
    """The group to try, what is asked of a model, and how much is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Annotated[
        str | None,
        Field(description="Group to try, C4, D4 or another; else the card's, the file's, or C4."),
    ] = None
    agreement: Annotated[
        Part, Field(description="Part of all images that must keep their label.")
    ] = 0.99
    class_agreement: Annotated[
        Part, Field(description="Part of the images of each class that must.")
    ] = CLASS_AGREEMENT
    no_classes: Annotated[bool, Field(description="Ask nothing of classes apart.")] = False
    confidence: Annotated[float, Field(ge=0.5, le=0.9999, description="Of every interval.")] = 0.95
    logit_tolerance: Annotated[
        float | None,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="How far a logit may move, relative to the largest one; else what the "
            "precision allows: "
            + ", ".join(f"{most:g} for {name}" for name, most in LOGIT_TOLERANCE.items())
            + ".",
        ),
    ] = None
    angles: Annotated[
        int | None,
        Field(ge=8, le=3600, description="Also rotate every image by so many angles of a circle."),
    ] = None
    resampler: Annotated[Method, Field(description="How pixels are found there.")] = "bilinear"
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            lt=2**63,
            description="Start the angles of each image at a random offset of its own.",
        ),
    ] = None
    angle_agreement: Annotated[
        Part, Field(description="Part of all images that must keep their label at all angles.")
    ] = 0.95
    exhaustive_angles: Annotated[
        bool, Field(description="Also try some images at every angle there is.")
    ] = False
    exhaustive_images: Annotated[int, Field(ge=1, description="How many, for every angle.")] = 8
    quick: Annotated[
        bool,
        Field(
            description=f"Audit {QUICK_IMAGES} images, from all over the set; the report says what "
            "that leaves open."
        ),
    ] = False
    pictures: Annotated[
        bool, Field(description="Keep pictures of the worst images in the report.")
    ] = True

    def resolve(self, precision: Precision, group: str, fill: int) -> ResolvedOptions:
        """Return what is asked of a model.

        Parameters
        ----------
        precision
            The model's: it says how far a logit may move where nothing else does.
        group
            The group to try where none is asked for.
        fill
            Grey level outside of the images that are rotated.
        """
        of_classes = None if self.no_classes else self.class_agreement
        angles = None
        if self.angles is not None:
            angles = AnglePlan(self.angles, Resampler(self.resampler, fill), self.seed)
        return ResolvedOptions(
            group=group if self.group is None else self.group,
            thresholds=Thresholds.of(
                precision,
                agreement=self.agreement,
                confidence=self.confidence,
                logit_tolerance=self.logit_tolerance,
            ).model_copy(update={"class_agreement": of_classes}),
            angles=angles,
            angle_thresholds=AngleThresholds(
                agreement=self.angle_agreement,
                confidence=self.confidence,
                class_agreement=of_classes,
            ),
            exhaustive_images=self.exhaustive_images if self.exhaustive_angles else 0,
            most_images=QUICK_IMAGES if self.quick else None,
            pictures=self.pictures,
        )

    def words(self) -> Iterator[str]:
        """Yield the options of the command that ask for the same, those of a default left out."""
        for name, field in AuditOptions.model_fields.items():
            value, option = getattr(self, name), name.replace("_", "-")
            if value == field.default:
                continue
            if isinstance(value, bool):
                yield f"--{option}" if value else f"--no-{option}"
            else:
                yield from (f"--{option}", str(value))
