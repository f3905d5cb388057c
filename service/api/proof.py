"""What can be proved of a model from the bytes that are loaded."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import Depends

from artifact.session import run_both_ways
from audit.proof import Limits, Proof
from audit.proving import ProofFailedError, prove_file
from imaging import RefusedError
from service.api.addresses import NAMED, Resolve
from service.api.bodies import errors_documented
from service.errors import UnavailableError
from service.http.service_route import ServiceRoute
from service.repository.folder import ModelRejectedError
from service.repository.version import ServedModel

log = structlog.get_logger()


class Proofs:
    """The proofs of models: made when they were loaded, or else once, when first asked for.

    That one ended at a limit is remembered too, or every call would cost as much again.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[tuple[str, str], Proof | str] = {}
        self._provers = CapacityLimiter(1)

    async def of(self, model: ServedModel) -> Proof:
        """Prove the file that was loaded, for the group that its audit was made for.

        Raises
        ------
        UnavailableError
            If the file on the disk is no longer the one that was loaded, or the proof ended at a
            limit or an error.
        """
        found = model.verification.proof or model.verification.unproved
        found = found or await self._asked(model)
        if isinstance(found, str):
            raise UnavailableError(found)
        return found

    async def _asked(self, model: ServedModel) -> Proof | str:
        asked = model.card.sha256, model.card.audit.group
        if asked not in self._known:
            try:
                await to_thread.run_sync(self._prove, model, asked, limiter=self._provers)
            except ModelRejectedError as error:
                raise UnavailableError(str(error)) from error
        return self._known[asked]

    def _prove(self, model: ServedModel, asked: tuple[str, str]) -> None:
        if asked not in self._known:  # whoever came first may have answered it meanwhile
            graph = model.read_graph()
            try:
                self._known[asked] = prove_file(
                    graph, asked[1], runtime=run_both_ways, limits=self._limits
                )
            except RefusedError as error:
                if isinstance(error, ProofFailedError):
                    log.error("the proof failed", exc_info=error)
                self._known[asked] = str(error)


def proof_routes(limits: Limits) -> list[ServiceRoute]:
    """Build the routes of `/proof` under every address that names a model."""
    proofs = Proofs(limits)
    return [
        ServiceRoute(
            f"{prefix}/proof",
            _endpoint(resolve, proofs),
            needs="key",
            tags=["proofs"],
            operation_id=f"prove_{resolve.__name__}",
            summary="Prove a model's invariance",
            responses=errors_documented(404, 422, 503),
        )
        for prefix, resolve in NAMED.items()
    ]


def _endpoint(resolve: Resolve, proofs: Proofs) -> Callable[..., Coroutine[Any, Any, Proof]]:
    async def proof(model: Annotated[ServedModel, Depends(resolve)]) -> Proof:
        """Prove from the file that is loaded that a rotated image gets the same answer.

        The outcome comes first: `PROVED`, `PROVED WITHIN` a bound, or `NOT PROVED`, which does not
        say that the model is not invariant. It speaks of the file; `/audit` measures what runs.
        """
        return await proofs.of(model)

    return proof
