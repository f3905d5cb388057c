"""A version of a repository as the subject of an audit."""

from audit import Subject, proved_quarters
from service.subjects.execution import execution
from service.version import ServedModel


def version_subject(model: ServedModel) -> Subject:
    """Return the version as it runs: each batch is one entry in the queue of its session.

    Requests are answered in between. The mutant is opened once for a model.

    Raises
    ------
    ModelRejectedError
        If the version's file is no longer the one that was loaded.
    """
    found = model.verification
    exact = found.exactness is not None and found.exactness.exact
    return Subject(
        identity=model.card.identity,
        classify=model.session.logits,
        graph=model.read_graph(),
        build=lambda graph: model.sibling(graph).logits,
        execution=execution(model.session.placement, model.session.threads),
        bundled=model.card.audit_set.sha256,
        fill=model.card.input.fit.fill,
        symmetry=lambda report: proved_quarters(found.proof, report, exact=exact),
    )
