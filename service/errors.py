"""What can go wrong with a request, and the one place that turns it into an answer."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

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


class ServiceError(Exception):
    """A request that is refused: the status of the answer and one sentence for its sender."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class MalformedError(ServiceError):
    """The request is empty, or its outer form cannot be read."""

    status = HTTPStatus.BAD_REQUEST


class NotFoundError(ServiceError):
    """The model or the version does not exist."""

    status = HTTPStatus.NOT_FOUND


class TooLargeError(ServiceError):
    """The body, an image or the batch exceeds its limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedError(ServiceError):
    """The content type, or the format of the bytes, is none of those accepted."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnprocessableError(ServiceError):
    """The form is known and the content is wrong."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UnavailableError(ServiceError):
    """The model is known and not served at present."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class SlowClientError(ServiceError):
    """The client takes too long to send its request; the connection is closed."""

    status = HTTPStatus.REQUEST_TIMEOUT
    headers = MappingProxyType({"Connection": "close"})


class LateError(ServiceError):
    """The request's own time was up before it was answered."""

    status = HTTPStatus.GATEWAY_TIMEOUT


class ErrorAnswer(BaseModel):
    """The body of every answer that refuses."""

    error: str
    """One sentence that says what was wrong and what is accepted."""


_BY_ENGINE: dict[type[EngineError], HTTPStatus] = {
    QueueFullError: HTTPStatus.SERVICE_UNAVAILABLE,
    EngineDownError: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineError: HTTPStatus.GATEWAY_TIMEOUT,
    ComputeError: HTTPStatus.INTERNAL_SERVER_ERROR,
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


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Turn anything that was raised while a request was handled into its answer."""
    headers: Mapping[str, str] | None = None
    if isinstance(error, ServiceError):
        status, sentence, headers = int(error.status), error.sentence, error.headers
    elif isinstance(error, EngineError):
        status, sentence, headers = int(_BY_ENGINE[type(error)]), str(error), _retry(error)
    elif isinstance(error, RequestValidationError):
        status, sentence = int(HTTPStatus.UNPROCESSABLE_ENTITY), _invalid(error.errors())
    elif isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
        sentence = _routing(request, error)
    else:
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        sentence = "The service failed on this request; its log says why, under the request's id."
    return JSONResponse(ErrorAnswer(error=sentence).model_dump(), status, headers)


def _retry(error: EngineError) -> Mapping[str, str]:
    if isinstance(error, QueueFullError):
        return {"Retry-After": str(error.retry_after)}
    return {"Retry-After": "1"} if isinstance(error, EngineDownError) else {}


def _invalid(errors: Any) -> str:
    kind, name = (str(part) for part in errors[0]["loc"][:2])
    if errors[0]["type"] == "extra_forbidden":
        return f"The {kind} parameter '{name}' is not known; /docs lists those that are accepted."
    message = errors[0]["msg"][0].lower() + errors[0]["msg"][1:]
    return f"The {kind} parameter '{name}' is wrong: {message}."


def _routing(request: Request, error: HTTPException) -> str:
    path, method = request.url.path, request.method
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"There is nothing at {path}; /docs lists the calls."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "other methods")
        return f"{path} does not take {method}; {allowed} is accepted."
    return f"{error.detail}."
