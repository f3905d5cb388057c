"""What the service does with a request, whatever protocol it came in by."""

from functools import partial

import numpy as np
import numpy.typing as npt
from anyio import CapacityLimiter, to_thread

from audit import Report, Thresholds
from service.auditing import audit_model
from service.engine import cpu_budget
from service.errors import UnavailableError, UnprocessableError
from service.folder import ModelRejectedError
from service.observability.timings import Timings
from service.protocol import Body, Classification, classification, prepare, read_parts
from service.repository import Repository
from service.settings import Settings
from service.version import ServedModel


class DataPlane:
    """Classifies and audits with the models of a repository, never on the event loop.

    Images are decoded on as many threads as there are CPUs. Audits run one at a time, and ask the
    model's session batch by batch, so that classifications are answered in between.
    """

    def __init__(self, repository: Repository, settings: Settings) -> None:
        self.repository = repository
        self._settings = settings
        self._decoders = CapacityLimiter(cpu_budget())
        self._auditors = CapacityLimiter(1)

    async def classify(
        self, model: ServedModel, body: Body, top_k: int, timings: Timings
    ) -> Classification:
        """Classify the images of a body, in their order.

        Raises
        ------
        ServiceError
            If the body does not hold images that are accepted.
        """
        with timings.stage("decode"):
            images = await self._images(model, body, self._settings.max_batch)
        with timings.stage("inference"):
            result = await model.infer(images)
        return classification(model.identity, model.card.classes, result, top_k)

    async def audit(
        self,
        model: ServedModel,
        body: Body,
        group: str | None,
        thresholds: Thresholds,
        timings: Timings,
    ) -> Report:
        """Audit a model over the images of a body, or over its bundled set if the body is empty.

        Raises
        ------
        ServiceError
            If the body does not hold images that are accepted, or the group cannot be tried.
        """
        images = None
        if body.content:
            with timings.stage("decode"):
                images = await self._images(model, body, self._settings.max_audit_images)
        audit = partial(audit_model, model, images=images, group=group, thresholds=thresholds)
        with timings.stage("audit"):
            try:
                return await to_thread.run_sync(audit, limiter=self._auditors)
            except ModelRejectedError as error:
                raise UnavailableError(str(error)) from error
            except ValueError as error:
                raise UnprocessableError(str(error)) from error

    async def _images(
        self, model: ServedModel, body: Body, max_images: int
    ) -> npt.NDArray[np.uint8]:
        spec, max_pixels = model.card.input, self._settings.max_pixels

        def read() -> npt.NDArray[np.uint8]:
            parts = read_parts(body)
            return prepare(parts, spec, max_images=max_images, max_pixels=max_pixels)

        return await to_thread.run_sync(read, limiter=self._decoders)
