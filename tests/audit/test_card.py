import numpy as np
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from audit import Classifier, Thresholds, run_audit
from audit.card import audit_figures


def test_a_card_takes_its_audit_figures_from_a_report(
    invariant: Classifier, images: NDArray[np.uint8], model: ModelIdentity
) -> None:
    thresholds = Thresholds(class_agreement=None)
    report = run_audit(
        invariant, images, None, group="C4", thresholds=thresholds, model=model, source="noise"
    )
    figures = audit_figures(report)
    assert (figures.verdict, figures.images, figures.group) == ("PASS", 400, "C4")
    assert figures.agreement_interval == report.figures.agreement_interval
    assert figures.max_logit_deviation == figures.noise_floor == 0
