"""The methods of `inference.GRPCInferenceService`, which answer what HTTP's calls answer."""

import time
from collections.abc import Mapping
from typing import Any, Final

import grpc
from google.protobuf.json_format import ParseDict
from pydantic import BaseModel

from service.api.addresses import version_of_path
from service.api.monitoring import check_ready
from service.api.oip.models import (
    all_statistics,
    config_of,
    metadata_of,
    model_statistics,
    version_statistics,
)
from service.api.oip.repository import entries_of, no_model_control
from service.api.oip.server import LOGS, MEMORY, TRACES, server_metadata
from service.auth import Need
from service.data_plane import DataPlane
from service.errors import ServiceError, UnavailableError
from service.grpc.calls import LARGE, Answer, Asking, Calls
from service.grpc.codec import read_infer, write_infer
from service.grpc.messages import message
from service.protocol.oip import Served
from service.repository.version import ServedModel
from service.settings import Settings

_ABSENT: Final = {
    "ModelStreamInfer": "no streams; `ModelInfer` answers each request as soon as it is computed",
    "TraceSetting": TRACES,
    "LogSettings": LOGS,
    **{
        f"{kind}SharedMemory{what}": MEMORY
        for kind in ("System", "Cuda")
        for what in ("Status", "Register", "Unregister")
    },
}
"""Methods of Triton's that this service does not have, and what it says of them."""


def methods(calls: Calls, settings: Settings) -> dict[str, grpc.RpcMethodHandler]:
    """Build the handlers of all methods, by their names."""
    model_control = settings.model_control or settings.api_keys is not None

    async def config(asking: Asking, sent: Any) -> Any:
        with _find(asking.plane, sent.name, sent.version) as model:
            found = config_of(model, settings.max_batch_size)
        return _as("ModelConfigResponse", config=found.model_dump())

    async def load(asking: Asking, sent: Any) -> Any:
        _check_change(sent, {}, model_control)
        await asking.plane.load(sent.model_name)
        return message("RepositoryModelLoadResponse")()

    async def unload(asking: Asking, sent: Any) -> Any:
        _check_change(sent, {"unload_dependents": "bool_param"}, model_control)
        await asking.plane.unload(sent.model_name)
        return message("RepositoryModelUnloadResponse")()

    answers: dict[str, tuple[Need, Answer]] = {
        "ServerLive": ("nothing", _live),
        "ServerReady": ("nothing", _ready),
        "ServerMetadata": ("key", _server),
        "ModelReady": ("key", _model_ready),
        "ModelMetadata": ("key", _metadata),
        "ModelConfig": ("key", config),
        "ModelStatistics": ("key", _statistics),
        "ModelInfer": ("infer", _infer),
        "RepositoryIndex": ("key", _index),
        "RepositoryModelLoad": ("admin", load),
        "RepositoryModelUnload": ("admin", unload),
    }
    found = {
        name: calls.handler(name, need, message(f"{name}Request"), answer, probe=need == "nothing")
        for name, (need, answer) in answers.items()
    }
    return found | {name: _absent(name, what) for name, what in _ABSENT.items()}


async def _live(asking: Asking, sent: Any) -> Any:
    return message("ServerLiveResponse")(live=True)


async def _ready(asking: Asking, sent: Any) -> Any:
    """Answer false where HTTP answers 503: the protocol has a field for it."""
    try:
        check_ready(asking.plane, known=asking.known)
    except UnavailableError:
        return message("ServerReadyResponse")(ready=False)
    return message("ServerReadyResponse")(ready=True)


async def _model_ready(asking: Asking, sent: Any) -> Any:
    try:
        _find(asking.plane, sent.name, sent.version)
    except UnavailableError:
        return message("ModelReadyResponse")(ready=False)
    return message("ModelReadyResponse")(ready=True)


async def _server(asking: Asking, sent: Any) -> Any:
    return _like("ServerMetadataResponse", await server_metadata())


async def _metadata(asking: Asking, sent: Any) -> Any:
    with _find(asking.plane, sent.name, sent.version) as model:
        return _like("ModelMetadataResponse", metadata_of(asking.plane.repository, model))


async def _statistics(asking: Asking, sent: Any) -> Any:
    if not sent.name:
        found = await all_statistics(asking.plane)
    elif not sent.version:
        found = await model_statistics(asking.plane, sent.name)
    else:
        found = await version_statistics(asking.plane, sent.name, version_of_path(sent.version))
    return _like("ModelStatisticsResponse", found)


async def _index(asking: Asking, sent: Any) -> Any:
    entries = entries_of(asking.plane.repository, ready=sent.ready)
    return _as("RepositoryIndexResponse", models=[entry.model_dump() for entry in entries])


async def _infer(asking: Asking, sent: Any) -> Any:
    plane, call = asking.plane, asking.call
    with _find(plane, sent.model_name, sent.model_version) as model:
        plane.begin(model, call)
        with call.timings.stage("decode"):
            heavy = sent.ByteSize() > LARGE
            asked = await plane.run(heavy, read_infer, sent, model.ends.image, plane.max_images)
        if asked.timeout is not None:
            call.deadline = min(call.deadline, time.monotonic() + asked.timeout)
        result = await plane.infer(model, asked.images, call)
        with call.timings.stage("encode"):
            served = Served(model.card.name, str(model.card.version), model.card.classes)
            heavy = result.logits.nbytes > LARGE
            return await plane.run(heavy, write_infer, asked, result, served)


def _find(plane: DataPlane, name: str, version: str) -> ServedModel:
    return plane.repository.find(name, version_of_path(version) if version else None)


def _check_change(sent: Any, accepted: Mapping[str, str], allowed: bool) -> None:
    """Refuse to load or unload where nobody may, and what cannot be asked with it."""
    if not allowed:
        raise no_model_control()
    for name, parameter in sent.parameters.items():
        if accepted.get(name) != parameter.WhichOneof("parameter_choice"):
            there = ", ".join(f"'{each}'" for each in accepted) or "none"
            raise ServiceError(422, f"The parameter '{name}' is refused; {there} is accepted.")


def _absent(name: str, what: str) -> grpc.RpcMethodHandler:
    async def refuse(data: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"This service has {what}.")

    if name == "ModelStreamInfer":
        return grpc.stream_stream_rpc_method_handler(refuse)
    return grpc.stream_unary_rpc_method_handler(refuse)  # which reads nothing


def _like(name: str, document: BaseModel) -> Any:
    """Write what HTTP answers as JSON as the message of the same fields."""
    return ParseDict(document.model_dump(), message(name)())


def _as(name: str, **fields: Any) -> Any:
    return ParseDict(fields, message(name)())
