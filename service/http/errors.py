"""The one place that turns what was raised while a request was handled into its answer."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.errors import ServiceError, refusal_of
from service.metrics.call import Call


class ErrorAnswer(BaseModel):
    """The body of every answer that refuses."""

    error: str
    """One sentence that says what was wrong and what is accepted."""


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Turn anything that was raised while a request was handled into its answer."""
    refusal = _refusal(request, error)
    Call.of(request.scope).refusal = refusal.reason
    content = ErrorAnswer(error=refusal.sentence).model_dump()
    return JSONResponse(content, refusal.status, refusal.headers)


def invalid_parameter(kind: object, name: object, error: Mapping[str, Any]) -> ServiceError:
    """Say what is wrong with a parameter of a call.

    Parameters
    ----------
    kind, name
        Where it stands, `query` or `path`, and what it is called.
    error
        One of pydantic's.
    """
    if error["type"] == "extra_forbidden":
        fault = "is not known; /docs lists those that are accepted"
    else:
        fault = f"is wrong: {error['msg'][0].lower()}{error['msg'][1:]}"
    sentence = f"The {kind} parameter '{name}' {fault}."
    return ServiceError(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)


def _refusal(request: Request, error: Exception) -> ServiceError:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return invalid_parameter(first["loc"][0], first["loc"][1], first)
    if isinstance(error, HTTPException):
        sentence = _unrouted(request, error)
        return ServiceError(error.status_code, sentence, headers=error.headers or {})
    return refusal_of(error)


def _unrouted(request: Request, error: HTTPException) -> str:
    path, method = request.scope["path"], request.method  # that of its URL ends at a '?' in it
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"There is nothing at {path}; /docs lists the calls."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "other methods")
        return f"{path} does not take {method}; {allowed} is accepted."
    return f"{error.detail}."
