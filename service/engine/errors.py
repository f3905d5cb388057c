"""Why the engine did not answer a request; each message is one sentence for its sender."""

from http import HTTPStatus
from typing import Final

from service.errors import ServiceError

NOT_FINITE: Final = (
    "The model gives numbers that are not finite, and these rank no classes; images that it has "
    "finite ones for are accepted."
)
"""Of an image, or of one of several."""


class EngineError(ServiceError):
    """A request that the engine refused, dropped or failed to compute."""


class QueueFullError(EngineError):
    """As many images wait as may; seconds after which those should have been computed."""

    def __init__(self, waiting: int, capacity: int, retry_after: int) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"The model is busy: {waiting} images wait for it and at most {capacity} may; "
            f"try again in {retry_after} s.",
            reason="full",
            headers={"Retry-After": str(retry_after)},
        )


class DeadlineError(EngineError):
    """The request's time was up before its answer was there."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.GATEWAY_TIMEOUT,
            "The request was not answered within its time; try again, or allow more.",
            reason="expired",
        )


class EngineDownError(EngineError):
    """The engine has crashed, or is ending, and takes no requests at present."""

    def __init__(self, sentence: str) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE, sentence, reason="down", headers={"Retry-After": "1"}
        )


class ComputeError(EngineError):
    """The graph failed on this request's images, and on no other request's."""

    def __init__(self, sentence: str) -> None:
        super().__init__(HTTPStatus.INTERNAL_SERVER_ERROR, sentence, reason="failed")
