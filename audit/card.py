"""What of a proof, and of an audit's report, stands on a version's card."""

from artifact.figures import AuditFigures, ProofFigures
from audit.proof import Proof
from audit.report import Report


def proof_figures(proof: Proof) -> ProofFigures:
    """The figures of a proof that belong on a card."""
    return ProofFigures(**proof.model_dump(include=set(ProofFigures.model_fields)))


def audit_figures(report: Report) -> AuditFigures:
    """The figures of a report that belong on a card."""
    figures, floor = report.figures, report.noise_floor
    return AuditFigures(
        group=report.group,
        images=figures.images,
        verdict=report.verdict,
        label_agreement=figures.label_agreement,
        agreement_interval=figures.agreement_interval,
        max_logit_deviation=figures.max_logit_deviation,
        max_probability_deviation=figures.max_probability_deviation,
        noise_floor=max(floor.repeat, floor.regrouped, floor.elsewhere or 0.0),
    )
