"""What is measured about a classifier's invariance, and how it is judged and reported."""

from audit.angles import (
    AngleOutcome,
    AnglePlan,
    AngleSelfTest,
    AngleThresholds,
    audit_angles,
)
from audit.class_names import ClassNames
from audit.counterexample import Counterexample
from audit.exactness import measure_exactness
from audit.exhaustive import (
    ExhaustiveImage,
    ExhaustiveOutcome,
    LabelInterval,
    ProvedSymmetry,
    audit_exhaustively,
)
from audit.journal import Journal
from audit.orbit import Classifier, Orbit, Progress, evaluate_orbit, symmetrise
from audit.pipeline import ModelUnderTest, ResolvedOptions, Stages, run_pipeline
from audit.proved import ProofSummary
from audit.provenance import DataIdentity, Execution
from audit.report import (
    Accuracy,
    ElementFigures,
    Figures,
    NoiseFloor,
    Report,
    SelfTest,
    WorstImage,
)
from audit.run import run_audit
from audit.selftest import mutate, self_test
from audit.statistics import ConfidenceSequence, clopper_pearson, label_entropy
from audit.thresholds import LOGIT_TOLERANCE, Thresholds
from audit.values import Judgement, Proportion, Tolerance
from audit.verdict import judge
from imaging.refusal import RefusedError

__all__ = [
    "LOGIT_TOLERANCE",
    "Accuracy",
    "AngleOutcome",
    "AnglePlan",
    "AngleSelfTest",
    "AngleThresholds",
    "ClassNames",
    "Classifier",
    "ConfidenceSequence",
    "Counterexample",
    "DataIdentity",
    "ElementFigures",
    "Execution",
    "ExhaustiveImage",
    "ExhaustiveOutcome",
    "Figures",
    "Journal",
    "Judgement",
    "LabelInterval",
    "ModelUnderTest",
    "NoiseFloor",
    "Orbit",
    "Progress",
    "ProofSummary",
    "Proportion",
    "ProvedSymmetry",
    "RefusedError",
    "Report",
    "ResolvedOptions",
    "SelfTest",
    "Stages",
    "Thresholds",
    "Tolerance",
    "WorstImage",
    "audit_angles",
    "audit_exhaustively",
    "clopper_pearson",
    "evaluate_orbit",
    "judge",
    "label_entropy",
    "measure_exactness",
    "mutate",
    "run_audit",
    "run_pipeline",
    "self_test",
    "symmetrise",
]
