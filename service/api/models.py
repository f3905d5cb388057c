"""What is served: the models, their versions and their cards."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel

from artifact.card import Card
from artifact.figures import ProofFigures
from service.api.addresses import NAMED, Plane, Resolve
from service.api.bodies import errors_documented
from service.http.service_route import ServiceRoute
from service.repository.registry import Repository
from service.repository.verification import Verification
from service.repository.version import ServedModel
from service.signatures import SignatureStatus


class Runtime(BaseModel):
    """Where a model runs."""

    device: str
    providers: list[str]
    """onnxruntime's execution providers; no node runs on another."""
    nodes: dict[str, list[str]]
    """By execution provider, the graph's nodes that it was given, `<name> (<operator>)`."""
    threads: int
    note: str | None
    """Why it does not run on a better device, if that was tried."""


class Failure(BaseModel):
    """A version that is there and not served."""

    version: int
    reason: str


class ModelSummary(BaseModel):
    """A model, as its latest version has it; those fields are null where no version is served."""

    name: str
    default: bool
    """Whether this model answers `/classify`."""
    versions: list[int]
    """The versions that are served."""
    failed: list[Failure]
    version: int | None
    """The latest of them: the one that the rest of this object describes."""
    digest: str | None
    description: str | None
    group: str | None
    precision: str | None
    proof: ProofFigures | None
    """What the card says; `GET /models/{name}/proof` says what the file shows."""
    device: str | None


class Models(BaseModel):
    """Everything in the repository."""

    models: list[ModelSummary]


class ModelDetail(BaseModel):
    """One version that is served, with its whole card."""

    name: str
    version: int
    digest: str
    versions: list[int]
    failed: list[Failure]
    runtime: Runtime
    signature: SignatureStatus
    verification: Verification
    card: Card


def model_routes() -> list[ServiceRoute]:
    """Build the routes that list and describe models."""
    tags = ["models"]
    listing = ServiceRoute(
        "/models", list_models, needs="key", tags=tags, summary="List what is served"
    )
    return [
        listing,
        *(
            ServiceRoute(
                path,
                _endpoint(resolve),
                needs="key",
                tags=tags,
                operation_id=f"describe_{resolve.__name__}",
                summary="Describe a model, with its card",
                responses=errors_documented(404, 422, 503),
            )
            for path, resolve in NAMED.items()
        ),
    ]


async def list_models(plane: Plane) -> Models:
    """List every model of the repository, and the versions that are not served with the reason."""
    return Models(models=[_summary(plane.repository, name) for name in plane.repository.models])


def _endpoint(resolve: Resolve) -> Callable[..., Coroutine[Any, Any, ModelDetail]]:
    async def describe(
        plane: Plane, model: Annotated[ServedModel, Depends(resolve)]
    ) -> ModelDetail:
        """Answer the card that was packaged with the model, and where the model runs here."""
        repository, session = plane.repository, model.session
        return ModelDetail(
            **model.identity,
            versions=repository.served(model.card.name),
            failed=_failures(repository, model.card.name),
            runtime=Runtime(
                device=session.graph.configuration.device,
                providers=session.graph.configuration.providers,
                nodes=session.graph.nodes,
                threads=session.threads,
                note=session.graph.note,
            ),
            signature=model.signature,
            verification=model.verification,
            card=model.card,
        )

    return describe


def _summary(repository: Repository, name: str) -> ModelSummary:
    served = repository.served(name)
    latest = repository.find(name) if served else None
    card = latest.card if latest else None
    return ModelSummary(
        name=name,
        default=name == repository.default,
        versions=served,
        failed=_failures(repository, name),
        version=card.version if card else None,
        digest=latest.identity["digest"] if latest else None,
        description=card.description if card else None,
        group=card.group if card else None,
        precision=card.precision if card else None,
        proof=card.proof if card else None,
        device=latest.session.graph.configuration.device if latest else None,
    )


def _failures(repository: Repository, name: str) -> list[Failure]:
    unserved = repository.unserved(name)
    return [Failure(version=each.version, reason=each.why) for each in unserved]
