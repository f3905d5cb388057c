"""What an audit over HTTP can be asked for."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, ConfigDict, Field, Json

from artifact.contract import Images
from artifact.json_document import read_json
from audit import ClassNames
from audit.about import About
from audit.labels import MANY_LABELS
from audit.options import AuditOptions
from imaging import RefusedError
from service.api.audits.formats import AskedFormat
from service.audits.job import Audit
from service.audits.reproduce import replay
from service.audits.run import audit_model, cost
from service.errors import ServiceError
from service.repository.version import ServedModel
from service.settings import Settings


def _read_once(text: object) -> object:
    """Refuse JSON that readers could differ about, before it is read."""
    if isinstance(text, str):
        read_json(text.encode())
    return text


class AuditQuery(AuditOptions):
    """What an audit can be asked for, what the images show, and the format of the report."""

    model_config = ConfigDict(extra="forbid")

    labels: Annotated[
        list[str] | None,
        Field(description="What the uploaded images show: one class name for each, in order."),
    ] = None
    about: Annotated[
        Json[About] | None,
        BeforeValidator(_read_once),
        Field(description="What the report says of the audit and its images, as JSON: `About`."),
    ] = None
    format: AskedFormat = None

    def audit(
        self,
        model: ServedModel,
        images: Images | None,
        settings: Settings,
        files: tuple[str, ...] = (),
    ) -> tuple[Audit, int]:
        """Return the audit of a model that is asked for, and how many images it classifies.

        Parameters
        ----------
        images : uint8 [N, C, size, size], or None
            None for the bundled audit set.
        settings
            How many images it may classify, and what its report depends on.
        files
            What the images are called.

        Raises
        ------
        ServiceError (422)
            If the group cannot be tried, the labels are not those of the images, or it is too much.
        """
        card, most = model.card, settings.max_audit_classifications
        options = self.resolve(card.precision, card.audit.group, card.input.fit.fill)
        count = card.audit_set.count if images is None else len(images)
        if card.multi_label and self.labels is not None:
            raise ServiceError(422, MANY_LABELS)
        try:
            total = cost(model, count, options)
        except RefusedError as error:
            raise ServiceError(422, str(error)) from error
        if total > most:
            raise ServiceError(
                422,
                f"The audit has {total} images classified, rotated ones included; at most {most} "
                "are accepted: ask for fewer images or angles, also of those tried at every angle.",
            )
        asked = partial(
            audit_model,
            model,
            options,
            images=images,
            labels=_read_labels(self.labels, card.classes, None if images is None else count),
            files=files,
            about=self.about,
            # Of the images of a body there is no command; what was said of them is no option.
            replay=replay(f"{card.name}/{card.version}", self.words(), settings)
            if images is None and self.about is None
            else None,
        )
        return lambda progress: asked(progress=progress), total


def _read_labels(
    names: Sequence[str] | None, classes: Sequence[str], images: int | None
) -> npt.NDArray[np.int64] | None:
    """Return the classes' numbers, int64 [N]; None where no names are given."""
    if names is None:
        return None
    if images is None:
        raise ServiceError(
            422,
            "There are labels and no images; the bundled audit set has its own, and labels are "
            "accepted with the images of a body.",
        )
    if len(names) != images:
        raise ServiceError(
            422, f"There are {len(names)} labels for {images} images; one for each is accepted."
        )
    known = ClassNames(classes)
    try:
        found = [known.index(name, f"Image {place}") for place, name in enumerate(names, 1)]
    except RefusedError as error:
        raise ServiceError(422, str(error)) from error
    return np.array(found, np.int64)
