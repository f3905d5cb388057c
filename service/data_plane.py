"""What the service does with a request, whatever protocol it came in by."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

from artifact.contract import Images
from service.decoding.pool import Decoders
from service.decoding.prepare import prepare
from service.engine import NOT_FINITE, ComputeError, Inference, QueueFullError, Timing
from service.errors import TooLargeError, UnavailableError
from service.metrics.call import Call
from service.pending import Held
from service.protocol import Body, Classification, Part, classification, read_parts
from service.protocol.compression import unpack
from service.protocol.media import NPY
from service.repository.registry import Repository
from service.repository.version import ServedModel
from service.settings import Settings
from service.workers.member import Member
from service.workers.messages import Load, Unload

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LONGEST_NAME: Final = 255
"""Characters of a file's name that a report repeats."""

QUICK_TO_UNPACK: Final = 2**12
"""Bytes of a packed body that may be unpacked on the event loop."""

SMALL_FILE: Final = 2**13
"""Bytes of an image file that may be decoded on the event loop."""

SMALL_ARRAY: Final = 2**16
"""Bytes of an array that may be read there."""

SMALL_IMAGE: Final = 2**14
"""Pixels of an image, of either kind."""

SMALL_BATCH: Final = 2**18
"""Bytes of the images once they have the model's size: to fit them takes as long as they are."""


class DataPlane:
    """Classifies with the models of a repository.

    Small images are decoded on the event loop, since that takes less time than going elsewhere and
    back; others in as many processes as there are CPUs.

    Attributes
    ----------
    decoders
        These processes.
    member
        What speaks with the other workers, where there are several.
    max_images
        The most in one request.
    ending
        Set when the service has been asked to end: it is not ready, and serves all the same.
    """

    def __init__(
        self, repository: Repository, settings: Settings, member: Member | None = None
    ) -> None:
        self.repository, self.member = repository, member
        self.ending = False
        self.max_images = settings.max_batch_size
        self._settings = settings
        self.decoders = Decoders(settings.cpus)
        self._threads = CapacityLimiter(settings.cpus)
        self._undecoded = 0

    def check_ready(self) -> None:
        """Raise UnavailableError with the reason why no requests should be sent here, if any.

        What comes to one of several workers might have come to another: all have to be ready.
        """
        self.check_ready_here()
        if self.member is not None and self.member.elsewhere is not None:
            raise UnavailableError(self.member.elsewhere)

    def check_ready_here(self) -> None:
        """Raise UnavailableError with the reason why this worker is not ready."""
        if self.ending:
            raise UnavailableError("The service is ending.")
        self.repository.check_started()
        self.repository.find()
        for name in self.repository.models:
            for version in self.repository.served(name):
                if not self.repository.find(name, version).session.ready:
                    raise UnavailableError(
                        f"The engine of version {version} of the model '{name}' has crashed and "
                        "does not work yet."
                    )

    async def load(self, name: str) -> None:
        """Load a model, in all workers; raise as `Repository.load`."""
        if self.member is None:
            await self.repository.load(name)
        else:
            await self.member.everywhere(Load(name))

    async def unload(self, name: str) -> None:
        """Unload a model, in all workers; raise as `Repository.unload`."""
        if self.member is None:
            await self.repository.unload(name)
        else:
            await self.member.everywhere(Unload(name))

    async def classify(
        self, model: ServedModel, body: Body, top_k: int, call: Call
    ) -> Classification:
        """Classify the images of a body, in their order, before the call's deadline.

        Raises
        ------
        ServiceError
            If the body does not hold images that are accepted.
        EngineError
            If too many requests wait, the deadline passes or the graph fails.
        """
        self.begin(model, call)
        with call.timings.stage("decode"):
            images = await self._images(model, body, call)
        result = await self.infer(model, images, call)
        card = model.card
        return classification(
            model.identity, card.classes, result, top_k, multi_label=card.multi_label
        )

    def begin(self, model: ServedModel, call: Call) -> None:
        """Note which version a call asks to infer, and refuse it if that has no room for it.

        Raises
        ------
        EngineError
            If too many requests wait, or the engine is down.
        """
        call.asks_to_infer(model)
        model.session.check_room(1)

    async def infer(self, model: ServedModel, images: Images, call: Call) -> Inference:
        """Classify the images [N, C, H, W] of a call before its deadline.

        Raises
        ------
        EngineError
            As `Session.infer`; or if what the graph gives is not finite.
        """
        call.rows = len(images)
        model.statistics.handed_over()
        timing, began = Timing(), time.perf_counter()
        try:
            # While it is the only request there is, the event loop has nothing better to do.
            result = await model.session.infer(images, call.deadline, timing, here=call.alone)
        finally:
            call.timings.add_engine(began, timing.queue_seconds, timing.compute_seconds)
        if not result.is_finite():
            raise ComputeError(NOT_FINITE)
        if model.shadow is not None:
            model.shadow.offer(images, result)
        return result

    async def run(self, heavy: bool, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Call a codec here and now, or on a thread where it would hold up the event loop."""
        if heavy:
            return await to_thread.run_sync(function, *arguments, limiter=self._threads)
        return function(*arguments)

    async def unpack(self, body: bytes, coding: str) -> bytes:
        """Return a body as it was before its coding; an empty one is empty in every coding.

        Raises
        ------
        ServiceError
            As `service.protocol.compression.unpack`.
        """
        if not body:
            return body
        largest = self._settings.max_body_bytes
        return await self.run(len(body) > QUICK_TO_UNPACK, unpack, body, coding, largest)

    async def audit_images(
        self, model: ServedModel, body: Body, call: Call
    ) -> tuple[Images, tuple[str, ...]] | None:
        """Read the images of a body that an audit is asked for with; None if the body is empty.

        Returns
        -------
        The images, and what their files are called; no names where no image has one.

        Raises
        ------
        ServiceError
            If the body does not hold images that are accepted.
        """
        if not body.content:
            return None
        with call.timings.stage("decode"):
            most = self._settings.max_audit_images
            images, parts = await self._decoded(model, body, most, call.held)
        call.rows = len(images)
        return images, _file_names(parts)

    async def _images(self, model: ServedModel, body: Body, call: Call) -> Images:
        images = self._small_images(model, body, self.max_images)
        if images is not None:
            return images
        return (await self._decoded(model, body, self.max_images, call.held, call.deadline))[0]

    async def _decoded(
        self,
        model: ServedModel,
        body: Body,
        max_images: int,
        held: Held,
        deadline: float = math.inf,
    ) -> tuple[Images, Sequence[Part]]:
        """Read a body in a thread, and decode its images elsewhere."""
        if self._undecoded >= self._settings.max_queue_size:
            raise QueueFullError(self._undecoded, self._settings.max_queue_size, retry_after=1)
        self._undecoded += 1
        try:
            parts = await self.run(True, read_parts, body, max_images)
            # A file of a few bytes becomes an image of the model's size.
            held.images(len(parts) * math.prod(model.card.input.shape))
            images = await self.decoders.prepare(
                parts,
                model.card.input,
                max_pixels=self._settings.max_pixels,
                deadline=deadline,
            )
            return images, parts
        finally:
            self._undecoded -= 1

    def _small_images(self, model: ServedModel, body: Body, max_images: int) -> Images | None:
        """Read an array, or one image file, here and now; None if it is too large for that."""
        is_array = body.media_type == NPY
        if len(body.content) > (SMALL_ARRAY if is_array else SMALL_FILE):
            return None
        parts = read_parts(body, max_images)
        if len(parts) > 1 and not is_array:
            return None
        if len(parts) * math.prod(model.card.input.shape) > SMALL_BATCH:
            return None
        max_pixels = min(SMALL_IMAGE, self._settings.max_pixels)
        try:
            return prepare(parts, model.card.input, max_pixels=max_pixels)
        except TooLargeError:  # for here; whether it is for the service too is said elsewhere
            return None


def _file_names(parts: Sequence[Part]) -> tuple[str, ...]:
    """What the files are called, one that has no name by its place; empty where none has one."""
    if not any(part.file for part in parts):
        return ()
    return tuple(part.file[:LONGEST_NAME] or f"image {index}" for index, part in enumerate(parts))
