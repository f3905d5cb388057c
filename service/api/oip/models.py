"""The models one by one: whether a model is ready, what it takes and gives, what it has done."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, Literal

from fastapi import Depends
from pydantic import BaseModel

from artifact.contract import INPUT, OUTPUTS
from service.api.addresses import (
    EXACT,
    LATEST,
    NAMED,
    Name,
    Plane,
    Resolve,
    Version,
)
from service.api.bodies import errors_documented
from service.api.oip.documents import TAGS
from service.api.oip.statistics import ModelStatistics, StatisticsAnswer
from service.data_plane import DataPlane
from service.http.service_route import ServiceRoute
from service.repository.registry import Repository
from service.repository.version import ServedModel
from service.workers.member import WAIT_SECONDS
from service.workers.messages import Statistics

PLATFORM: Final = "onnxruntime_onnx"

Endpoint = Callable[..., Coroutine[Any, Any, BaseModel]]


class ModelReady(BaseModel):
    """The model, or the version, is ready."""

    name: str
    ready: Literal[True] = True


class TensorMetadata(BaseModel):
    """One end of a graph; -1 stands for any number of images."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(BaseModel):
    """One end of a graph, without the dimension of the batch."""

    name: str
    data_type: str
    dims: list[int]


class InstanceGroup(BaseModel):
    """Where a model runs."""

    kind: Literal["KIND_CPU", "KIND_GPU"]
    count: int


class ModelConfig(BaseModel):
    """What holds for a model here, in the fields of Triton's model configuration."""

    name: str
    platform: str
    backend: str
    version_policy: dict[str, dict[str, Any]]
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]
    instance_group: list[InstanceGroup]


def model_routes(max_batch_size: int) -> list[ServiceRoute]:
    """Build the routes about models, each for the latest version and for one version.

    Parameters
    ----------
    max_batch_size
        Most images in one request, for the configuration to say.
    """
    routes: list[ServiceRoute] = []

    def add(path: str, endpoint: Endpoint, operation: str, summary: str) -> None:
        routes.append(
            ServiceRoute(
                path,
                endpoint,
                needs="key",
                tags=TAGS,
                operation_id=operation,
                summary=summary,
                responses=errors_documented(404, 422, 503),
            )
        )

    # Before /v2/models/{name}, which it matches too.
    add("/v2/models/stats", all_statistics, "all_statistics", "Statistics of all models")
    add(f"/v2{LATEST}/stats", model_statistics, "model_statistics", "Statistics of a model")
    add(
        f"/v2{EXACT}/stats",
        version_statistics,
        "version_statistics",
        "Statistics of a version",
    )
    for named, resolve in NAMED.items():
        path, which = f"/v2{named}", resolve.__name__
        add(path, _metadata(resolve), f"metadata_{which}", "Model metadata")
        add(f"{path}/ready", _ready(resolve), f"ready_{which}", "Model readiness")
        add(
            f"{path}/config",
            _config(resolve, max_batch_size),
            f"config_{which}",
            "Model configuration",
        )
    return routes


async def all_statistics(plane: Plane) -> StatisticsAnswer:
    """Answer what every version that is served has done since it was loaded."""
    return await _statistics(plane, Statistics())


async def model_statistics(plane: Plane, name: Name) -> StatisticsAnswer:
    """Answer what each served version of a model has done since it was loaded."""
    return await _statistics(plane, Statistics(name))


async def version_statistics(plane: Plane, name: Name, version: Version) -> StatisticsAnswer:
    """Answer what one version has done since it was loaded."""
    return await _statistics(plane, Statistics(name, version))


async def _statistics(plane: DataPlane, asked: Statistics) -> StatisticsAnswer:
    """Add up what the workers say, of those that live."""
    here = statistics_here(plane.repository, asked)
    if plane.member is None:
        return here
    answers = await plane.member.ask(asked, WAIT_SECONDS)
    return StatisticsAnswer.joined(
        StatisticsAnswer.model_validate_json(each.content) for each in answers if not each.status
    )


def statistics_here(repository: Repository, asked: Statistics) -> StatisticsAnswer:
    """Tell what versions have done in this process; raise as `Repository.find`."""
    names = repository.models if asked.name is None else [asked.name]
    models = [
        repository.find(name, version)
        for name in names
        for version in ([asked.version] if asked.version else repository.served(name))
    ]
    return StatisticsAnswer(model_stats=[ModelStatistics.of(model) for model in models])


def metadata_of(repository: Repository, model: ServedModel) -> ModelMetadata:
    """Say what a model takes and gives, and which of its versions are served."""
    return ModelMetadata(
        name=model.card.name,
        versions=[str(version) for version in repository.served(model.card.name)],
        platform=PLATFORM,
        inputs=[TensorMetadata(name=INPUT, datatype="UINT8", shape=[-1, *_image(model)])],
        outputs=[
            TensorMetadata(name=name, datatype="FP32", shape=[-1, model.ends.classes])
            for name in OUTPUTS
        ],
    )


def config_of(model: ServedModel, max_batch_size: int) -> ModelConfig:
    """Say what holds for a model here."""
    cpu = model.session.graph.configuration.device == "cpu"
    return ModelConfig(
        name=model.card.name,
        platform=PLATFORM,
        backend="onnxruntime",
        version_policy={"all": {}},
        max_batch_size=max_batch_size,
        input=[TensorConfig(name=INPUT, data_type="TYPE_UINT8", dims=_image(model))],
        output=[
            TensorConfig(name=name, data_type="TYPE_FP32", dims=[model.ends.classes])
            for name in OUTPUTS
        ],
        instance_group=[InstanceGroup(kind="KIND_CPU" if cpu else "KIND_GPU", count=1)],
    )


def _ready(resolve: Resolve) -> Endpoint:
    async def ready(model: Annotated[ServedModel, Depends(resolve)]) -> ModelReady:
        """Answer 200 where the model answers, 404 or 503 with the reason where it does not."""
        return ModelReady(name=model.card.name)

    return ready


def _metadata(resolve: Resolve) -> Endpoint:
    async def metadata(
        plane: Plane, model: Annotated[ServedModel, Depends(resolve)]
    ) -> ModelMetadata:
        """Answer the names, types and shapes of what the model takes and gives."""
        return metadata_of(plane.repository, model)

    return metadata


def _config(resolve: Resolve, max_batch_size: int) -> Endpoint:
    async def config(model: Annotated[ServedModel, Depends(resolve)]) -> ModelConfig:
        """Answer what holds for the model here; it is derived from its card, and no file."""
        return config_of(model, max_batch_size)

    return config


def _image(model: ServedModel) -> list[int]:
    return list(model.ends.image)
