"""What can go wrong with a request: one exception, which carries the status of its answer."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, Literal, get_args

from imaging import ImageError

Reason = Literal[
    "cancelled",
    "down",
    "error",
    "expired",
    "failed",
    "forbidden",
    "full",
    "invalid",
    "not-found",
    "slow",
    "too-large",
    "unauthenticated",
    "unavailable",
]
"""Why a request is refused; docs/operations.md says what each means."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

CLOSE: Final = MappingProxyType({"Connection": "close"})
"""Headers of an answer after which the connection is closed."""

MOST_TOLD: Final = 2000
"""Characters of a refusal: it may quote what a client sent, which may be megabytes."""

_END: Final = 200
"""Of these so many are the last ones, which say what is accepted."""

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_BY_STATUS: Final[Mapping[int, Reason]] = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    408: "slow",
    413: "too-large",
    414: "too-large",
    421: "forbidden",
    431: "too-large",
    503: "unavailable",
}

_BY_IMAGE: Final = {
    "empty": 400,
    "unknown-format": 415,
    "too-large": 413,
    "broken": 422,
    "animated": 422,
}


class ServiceError(Exception):
    """A request that is refused.

    Parameters
    ----------
    status
        Of the answer.
    sentence
        For the sender: what was wrong and what is accepted; the middle of a long one is left out.
    reason
        Under which it is counted; by default that of the status.
    headers
        Of the answer, besides those that every answer has.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        reason: Reason | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        # Halves of characters are written out, which JSON can quote and UTF-8 does not have.
        self.sentence = shortened(sentence.encode(errors="backslashreplace").decode())
        self.reason: Reason = reason or _BY_STATUS.get(
            status, "invalid" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "error"
        )
        self.headers = headers


class TooLargeError(ServiceError):
    """The body, an image or the batch exceeds its limit."""

    def __init__(self, sentence: str) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)


class UnavailableError(ServiceError):
    """The model is known and not served at present."""

    def __init__(self, sentence: str) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, sentence)


class BusyError(ServiceError):
    """As much is under way as may be; seconds after which to try again."""

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE,
            sentence,
            reason="full",
            headers={"Retry-After": str(retry_after)},
        )


def shortened(sentence: str, most: int = MOST_TOLD) -> str:
    """Leave out the middle of a sentence that has more characters than that."""
    if len(sentence) <= most:
        return sentence
    return f"{sentence[: most - _END - 5]} ... {sentence[-_END:]}"


def refuse_image(error: ImageError, where: str) -> ServiceError:
    """Turn what is wrong with one image into a refusal that says which image it was.

    Parameters
    ----------
    where
        The image's place in the request, such as `images[2]`; empty if it is the whole body.
    """
    sentence = f"{where}: {error}" if where else str(error)
    status = _BY_IMAGE[error.reason]
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLargeError(sentence)
    return ServiceError(status, sentence)


def refusal_of(error: BaseException) -> ServiceError:
    """Return what a client is told of an error that was raised while it was served."""
    if isinstance(error, ServiceError):
        return error
    sentence = "The service failed on this request; its log says why, under the request's id."
    return ServiceError(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)
