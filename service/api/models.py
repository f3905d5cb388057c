"""What is served: the models, their versions and their cards."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends

from service.api.addresses import NAMED, Plane, Resolve
from service.api.bodies import errors_documented
from service.api.listing import Failure, ModelDetail, Models, ModelSummary, Runtime
from service.http.routes import ServiceRoute
from service.repository.registry import Repository
from service.repository.version import ServedModel


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
                device=session.configuration.device,
                providers=session.configuration.providers,
                nodes=session.nodes,
                threads=session.threads,
                note=session.note,
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
        device=latest.session.configuration.device if latest else None,
    )


def _failures(repository: Repository, name: str) -> list[Failure]:
    unserved = repository.unserved(name)
    return [Failure(version=each.version, reason=each.why) for each in unserved]
