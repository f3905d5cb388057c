"""What can go wrong with a request, and the one place that turns it into an answer."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from imaging import ImageError
from service.engine import (
    ComputeError,
    DeadlineError,
    EngineDownError,
    EngineError,
    QueueFullError,
)
from service.metrics.call import Call
from service.repository.statistics import Reason


class ServiceError(Exception):
    """A request that is refused: the status of the answer and one sentence for its sender."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    reason: Reason = "error"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = _encodable(sentence)


class MalformedError(ServiceError):
    """The request is empty, or its outer form cannot be read."""

    status = HTTPStatus.BAD_REQUEST
    reason = "invalid"


class UnauthenticatedError(ServiceError):
    """The call needs an API key and came without one that is accepted."""

    status = HTTPStatus.UNAUTHORIZED
    reason = "unauthenticated"

    def __init__(self, sentence: str, error: str | None = None) -> None:
        super().__init__(sentence)
        self.headers = _challenge(error)


class ForbiddenError(ServiceError):
    """The API key does not allow the call, or nobody may make it here."""

    status = HTTPStatus.FORBIDDEN
    reason = "forbidden"

    def __init__(self, sentence: str, scope: str | None = None) -> None:
        super().__init__(sentence)
        if scope is not None:
            self.headers = _challenge("insufficient_scope", scope)


class NotFoundError(ServiceError):
    """The model or the version does not exist."""

    status = HTTPStatus.NOT_FOUND
    reason = "not-found"


class NotAcceptableError(ServiceError):
    """What is asked for does not come in any of the forms that are accepted."""

    status = HTTPStatus.NOT_ACCEPTABLE
    reason = "invalid"


class TooLargeError(ServiceError):
    """The body, an image or the batch exceeds its limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    reason = "too-large"


class UnsupportedError(ServiceError):
    """The content type, or the format of the bytes, is none of those accepted."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    reason = "invalid"


class UnprocessableError(ServiceError):
    """The form is known and the content is wrong."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    reason = "invalid"


class UnavailableError(ServiceError):
    """The model is known and not served at present."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason = "unavailable"


class BusyError(ServiceError):
    """As much is under way as may be; seconds after which to try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason = "full"

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.headers = {"Retry-After": str(retry_after)}


class SlowClientError(ServiceError):
    """The client takes too long to send its request; the connection is closed."""

    status = HTTPStatus.REQUEST_TIMEOUT
    reason = "slow"
    headers = MappingProxyType({"Connection": "close"})


class ErrorAnswer(BaseModel):
    """The body of every answer that refuses."""

    error: str
    """One sentence that says what was wrong and what is accepted."""


_BY_ENGINE: dict[type[EngineError], tuple[HTTPStatus, Reason]] = {
    QueueFullError: (HTTPStatus.SERVICE_UNAVAILABLE, "full"),
    EngineDownError: (HTTPStatus.SERVICE_UNAVAILABLE, "down"),
    DeadlineError: (HTTPStatus.GATEWAY_TIMEOUT, "expired"),
    ComputeError: (HTTPStatus.INTERNAL_SERVER_ERROR, "failed"),
}

_BY_REASON: dict[str, type[ServiceError]] = {
    "empty": MalformedError,
    "unknown-format": UnsupportedError,
    "too-large": TooLargeError,
    "broken": UnprocessableError,
    "animated": UnprocessableError,
}


def refuse_image(error: ImageError, where: str) -> ServiceError:
    """Turn what is wrong with one image into a refusal that says which image it was.

    Parameters
    ----------
    where
        The image's place in the request, such as `images[2]`; empty if it is the whole body.
    """
    sentence = str(error)
    return _BY_REASON[error.reason](f"{where}: {sentence}" if where else sentence)


class Refusal(NamedTuple):
    """How anything that was raised is told to a client."""

    status: int
    reason: Reason
    sentence: str
    headers: Mapping[str, str] | None = None


def describe_error(error: BaseException) -> Refusal:
    """Say what a client is told of an error that was raised while it was served."""
    if isinstance(error, ServiceError):
        return Refusal(error.status, error.reason, error.sentence, error.headers)
    if isinstance(error, EngineError):
        status, reason = _BY_ENGINE[type(error)]
        return Refusal(status, reason, str(error), _retry(error))
    sentence = "The service failed on this request; its log says why, under the request's id."
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "error", sentence)


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Turn anything that was raised while a request was handled into its answer."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        sentence = invalid_parameter(first["loc"][0], first["loc"][1], first)
        refusal = Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", sentence)
    elif isinstance(error, HTTPException):
        missing = error.status_code == HTTPStatus.NOT_FOUND
        reason: Reason = "not-found" if missing else "invalid"
        refusal = Refusal(error.status_code, reason, _routing(request, error), error.headers)
    else:
        refusal = describe_error(error)
    Call.of(request.scope).refusal = refusal.reason
    content = ErrorAnswer(error=_encodable(refusal.sentence)).model_dump()
    return JSONResponse(content, int(refusal.status), refusal.headers)


def _encodable(sentence: str) -> str:
    """Write out halves of characters, which JSON can quote and UTF-8 does not have."""
    return sentence.encode(errors="backslashreplace").decode()


def _challenge(error: str | None, scope: str | None = None) -> Mapping[str, str]:
    """Write what RFC 6750 asks of answers that refuse a key."""
    parts = ['realm="orbitserve"']
    parts += [f'{name}="{value}"' for name, value in (("error", error), ("scope", scope)) if value]
    return {"WWW-Authenticate": f"Bearer {', '.join(parts)}"}


def _retry(error: EngineError) -> Mapping[str, str]:
    if isinstance(error, QueueFullError):
        return {"Retry-After": str(error.retry_after)}
    return {"Retry-After": "1"} if isinstance(error, EngineDownError) else {}


def invalid_parameter(kind: object, name: object, error: Mapping[str, Any]) -> str:
    """Say what is wrong with a parameter of a call.

    Parameters
    ----------
    kind, name
        Where it stands, `query` or `path`, and what it is called.
    error
        One of pydantic's.
    """
    if error["type"] == "extra_forbidden":
        return f"The {kind} parameter '{name}' is not known; /docs lists those that are accepted."
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"The {kind} parameter '{name}' is wrong: {message}."


def _routing(request: Request, error: HTTPException) -> str:
    path, method = request.url.path, request.method
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"There is nothing at {path}; /docs lists the calls."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "other methods")
        return f"{path} does not take {method}; {allowed} is accepted."
    return f"{error.detail}."
