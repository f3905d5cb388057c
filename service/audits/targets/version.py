"""A version of a repository as the model under test."""

from artifact.session import run_both_ways
from audit import ModelUnderTest, ProofSummary
from audit.elements import covered
from audit.proving import summarise_proof
from imaging import grid_symmetries
from service.audits.targets.execution import execution
from service.audits.targets.opening import AsReported
from service.engine import opening
from service.repository.version import ServedModel

_SWITCHED_OFF = "proofs are switched off here (ORBITSERVE_PROOF)."


def version_under_test(model: ServedModel) -> ModelUnderTest:
    """Return the version as it runs: each batch is one entry in the queue of its session.

    Requests are answered in between. The mutant is opened once for a model.

    Raises
    ------
    ModelRejectedError
        If the version's file is no longer the one that was loaded.
    """
    session, graph = model.session, model.read_graph()
    runs = execution(session.graph.configuration, session.threads)
    return ModelUnderTest(
        identity=model.card.identity,
        classify=session.logits,
        graph=graph,
        build=session.sibling,
        execution=runs,
        opened=AsReported(opening(session, graph), runs),
        bundled=model.card.audit_set.sha256,
        fill=model.card.input.fit.fill,
        prove=lambda group: _proved(model, group),
    )


def _proved(model: ServedModel, group: str) -> ProofSummary:
    """What was proved when the version was loaded, or is proved now of a group that it lacks."""
    found, tried = model.verification, grid_symmetries(group)
    exact = found.exactness is not None and found.exactness.exact
    if found.mode == "off":
        return ProofSummary.of(_SWITCHED_OFF, tried)
    if found.rewritten is not None:
        return ProofSummary.of(found.rewritten, tried)
    if found.proof is None:
        return ProofSummary.of(found.unproved or _SWITCHED_OFF, tried)
    if covered(tried, found.proof.subgroup):
        return ProofSummary.of(found.proof, tried, runs_exactly=exact)
    return summarise_proof(model.read_graph(), group, runtime=run_both_ways, runs_exactly=exact)
