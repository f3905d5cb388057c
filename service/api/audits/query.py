"""What an audit over HTTP can be asked for."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from audit import AnglePlan, AngleThresholds, Proportion, Question, Thresholds, Tolerance
from audit.values import CLASS_AGREEMENT
from imaging import Method, RefusedError, Resampler
from service.api.audits.forms import AskedFormat
from service.auditing import audit_model, questions
from service.audits.job import Audit
from service.errors import UnprocessableError
from service.replay import replay
from service.settings import Settings
from service.version import ServedModel

Images = npt.NDArray[np.uint8]


class AuditQuery(BaseModel):
    """The group to try, thresholds, angles, and the form of the report."""

    model_config = ConfigDict(extra="forbid")

    group: Annotated[
        str | None,
        Field(description="`C4`, `D4` or another; by default the one the model was packaged with."),
    ] = None
    agreement: Annotated[
        Proportion | None,
        Field(description="Part of all images that must keep their label; by default 0.99."),
    ] = None
    confidence: Annotated[
        Proportion | None, Field(description="Of the interval of that part; by default 0.95.")
    ] = None
    logit_tolerance: Annotated[
        Tolerance | None,
        Field(
            description="How far a logit may move, relative to the largest one; by default as "
            "the model's precision allows: 0.0001 for fp32, 0.01 for fp16, 0 for integers."
        ),
    ] = None
    angles: Annotated[
        int | None,
        Field(ge=8, le=3600, description="Also turn every image by so many angles of a circle."),
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
        Proportion | None,
        Field(
            description="Part of all images that must keep their label at all angles; by default "
            "0.95."
        ),
    ] = None
    class_agreement: Annotated[
        Proportion | None,
        Field(description="Part of the images of each class that must; by default 0.8."),
    ] = None
    no_classes: Annotated[bool, Field(description="Ask nothing of classes apart.")] = False
    circle: Annotated[bool, Field(description="Also try some images at every angle there is.")] = (
        False
    )
    circle_images: Annotated[int, Field(ge=1, description="How many, for `circle`.")] = 8
    pictures: Annotated[
        bool, Field(description="Whether the report holds pictures of the worst images.")
    ] = True
    labels: Annotated[
        list[str] | None,
        Field(description="What the uploaded images show: one class name for each, in order."),
    ] = None
    format: AskedFormat = None

    def audit(
        self, model: ServedModel, images: Images | None, settings: Settings
    ) -> tuple[Audit, int]:
        """Return the audit of a model that is asked for, and how many images it classifies.

        Parameters
        ----------
        images : uint8 [N, C, size, size], or None
            None for the bundled audit set.
        settings
            How many images it may classify, and what its report depends on.

        Raises
        ------
        UnprocessableError
            If the group cannot be tried, the labels are not those of the images, or it is too much.
        """
        question, most = self._question(model), settings.max_audit_questions
        count = model.card.audit_set.count if images is None else len(images)
        try:
            total = questions(model, count, question)
        except RefusedError as error:
            raise UnprocessableError(str(error)) from error
        if total > most:
            raise UnprocessableError(
                f"The audit has {total} images classified, turned ones included; at most {most} "
                "are accepted: ask for fewer images, angles or images on the circle."
            )
        asked = partial(
            audit_model,
            model,
            question,
            images=images,
            labels=_read_labels(self.labels, model.card.classes, None if images is None else count),
            replay=self._replay(model, settings) if images is None else None,
        )
        return lambda progress: asked(progress=progress), total

    def _question(self, model: ServedModel) -> Question:
        of_classes = None if self.no_classes else self.class_agreement or CLASS_AGREEMENT
        at_angles = {"agreement": self.angle_agreement, "confidence": self.confidence}
        return Question(
            group=self.group or model.card.audit.group,
            thresholds=Thresholds.of(
                model.card.precision,
                agreement=self.agreement,
                confidence=self.confidence,
                logit_tolerance=self.logit_tolerance,
            ).model_copy(update={"class_agreement": of_classes}),
            angles=self._plan(model),
            angle_thresholds=AngleThresholds(
                **{name: value for name, value in at_angles.items() if value is not None},
                class_agreement=of_classes,
            ),
            circle_images=self.circle_images if self.circle else 0,
            pictures=self.pictures,
        )

    def _replay(self, model: ServedModel, settings: Settings) -> str:
        """Return the command that audits the bundled set in the same way."""
        card = model.card
        return replay(f"{card.name}/{card.version}", self._options(), settings)

    def _options(self) -> Iterator[str]:
        """Yield the options of the command, which has those of a query under the same names."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value == field.default or name == "format":
                continue
            if name in ("pictures", "no_classes"):
                yield "--no-pictures" if name == "pictures" else "--no-classes"
                continue
            yield f"--{name.replace('_', '-')}"
            if value is not True:
                yield str(value)

    def _plan(self, model: ServedModel) -> AnglePlan | None:
        if self.angles is None:
            return None
        fill = model.card.input.fit.fill
        return AnglePlan(self.angles, Resampler(self.resampler, fill), self.seed)


def _read_labels(
    names: Sequence[str] | None, classes: Sequence[str], images: int | None
) -> npt.NDArray[np.int64] | None:
    """Return the classes' numbers, int64 [N]; None where no names are given."""
    if names is None:
        return None
    if images is None:
        raise UnprocessableError(
            "There are labels and no images; the bundled audit set has its own, and labels are "
            "accepted with the images of a body."
        )
    if len(names) != images:
        raise UnprocessableError(
            f"There are {len(names)} labels for {images} images; one for each is accepted."
        )
    places = {name: k for k, name in enumerate(classes)}
    for name in names:
        if name not in places:
            raise UnprocessableError(
                f"The model has no class '{name}'; {', '.join(classes)} are accepted."
            )
    return np.array([places[name] for name in names], np.int64)
