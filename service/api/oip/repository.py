"""The repository: what is there and in which state; loading and unloading by request."""

from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Final, Literal, TypeVar

import msgspec
from fastapi import Request
from pydantic import BaseModel

from service.api.addresses import Name, Plane
from service.api.bodies import errors_documented, read_body
from service.api.oip.documents import TAGS, json_body, optional_fields
from service.errors import ServiceError, TooLargeError
from service.http.service_route import ServiceRoute
from service.protocol.names import check_names
from service.protocol.oip.document import refuse_json
from service.repository.catalogue import Unserved
from service.repository.registry import Repository

Asked = TypeVar("Asked")

_MOST_BYTES: Final = 2**16
"""Of a body: what may be asked for are a few words."""


class _Index(msgspec.Struct, forbid_unknown_fields=True):
    ready: bool = False


class _NoParameters(msgspec.Struct, forbid_unknown_fields=True):
    """Not even a model configuration or files: a model is what its version directories hold."""


class _Load(msgspec.Struct, forbid_unknown_fields=True):
    parameters: _NoParameters = msgspec.field(default_factory=_NoParameters)


class _UnloadParameters(msgspec.Struct, forbid_unknown_fields=True):
    unload_dependents: bool = False
    """Accepted either way: no model here depends on another."""


class _Unload(msgspec.Struct, forbid_unknown_fields=True):
    parameters: _UnloadParameters = msgspec.field(default_factory=_UnloadParameters)


class IndexEntry(BaseModel):
    """A version that is in the repository, or is served still."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class Done(BaseModel):
    """Nothing to say: it was done."""


Change = Callable[[Request, Plane, Name], Coroutine[Any, Any, Done]]


def repository_routes(model_control: bool) -> list[ServiceRoute]:
    """Build the routes of the model repository extension.

    Parameters
    ----------
    model_control
        Whether models are loaded and unloaded by request.
    """
    boolean = {"type": "boolean"}
    nested = optional_fields(unload_dependents=boolean)
    listing = ServiceRoute(
        "/v2/repository/index",
        index,
        needs="key",
        methods=["POST"],
        tags=TAGS,
        summary="Index of the repository",
        responses=errors_documented(400, 408, 413, 415, 422, 503),
        openapi_extra=json_body(ready=boolean),
    )
    return [
        listing,
        *(
            ServiceRoute(
                f"/v2/repository/models/{{name}}/{endpoint.__name__}",
                endpoint if model_control else _refusing(endpoint),
                needs="admin",
                methods=["POST"],
                tags=TAGS,
                summary=summary,
                responses=errors_documented(400, 403, 404, 408, 413, 415, 422, 503),
                openapi_extra=body,
            )
            for endpoint, summary, body in (
                (
                    load,
                    "Load a model, and its new versions",
                    json_body(parameters=optional_fields()),
                ),
                (unload, "Unload a model", json_body(parameters=nested)),
            )
        ),
    ]


async def index(request: Request, plane: Plane) -> list[IndexEntry]:
    """List every version, its state, and why it is not served; `ready` leaves those out."""
    asked = await _body(request, _Index)
    return list(entries_of(plane.repository, ready=asked.ready))


async def load(request: Request, plane: Plane, name: Name) -> Done:
    """Load all versions that are not served; those that are go on, whatever comes of it."""
    await _body(request, _Load)
    await plane.load(name)
    return Done()


async def unload(request: Request, plane: Plane, name: Name) -> Done:
    """Serve a model no longer, once the requests under way are answered."""
    await _body(request, _Unload)
    await plane.unload(name)
    return Done()


def no_model_control() -> ServiceError:
    """Return the refusal of a call that nobody may make, as there are neither keys nor leave."""
    return ServiceError(
        403,
        "Without API keys no model is loaded or unloaded by request; a service that is started "
        "with ORBITSERVE_API_KEYS, or with ORBITSERVE_MODEL_CONTROL=true, accepts it.",
    )


def _refusing(change: Change) -> Change:
    """Stand in for a call that nobody may make, with its name and its description."""

    @wraps(change)
    async def refused(request: Request, plane: Plane, name: Name) -> Done:
        raise no_model_control()

    return refused


def entries_of(repository: Repository, *, ready: bool) -> Iterator[IndexEntry]:
    """List every version with its state, or those alone that are served."""
    for name, versions in repository.models.items():
        for number, found in versions.items():
            if not isinstance(found, Unserved):
                reason = repository.remark(found) or ""
                yield IndexEntry(name=name, version=str(number), state="READY", reason=reason)
            elif not ready:
                yield IndexEntry(
                    name=name, version=str(number), state="UNAVAILABLE", reason=found.why
                )


async def _body(request: Request, kind: type[Asked]) -> Asked:
    body = (await read_body(request)).content
    if len(body) > _MOST_BYTES:
        raise TooLargeError(
            f"The request's JSON has {len(body)} bytes; at most {_MOST_BYTES} are accepted, since "
            "no call about the repository takes a configuration or files."
        )
    try:
        return msgspec.convert(_without_null(_decode(body or b"{}")), kind)
    except msgspec.ValidationError as error:
        raise ServiceError(
            422, f"The request's JSON is refused: {error}; /docs shows what is accepted."
        ) from None
    except (ValueError, RecursionError) as error:
        raise refuse_json(error, body) from None


def _decode(body: bytes) -> Any:
    found = msgspec.json.decode(body)
    check_names(body)
    return found


def _without_null(value: Any) -> Any:
    """Leave out the fields that are null, which count as absent."""
    if not isinstance(value, dict):
        return value
    return {name: _without_null(each) for name, each in value.items() if each is not None}
