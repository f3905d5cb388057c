"""What is measured about a classifier's invariance, and how it is judged and reported."""

from audit.angles import (
    AngleOutcome,
    AnglePlan,
    AngleSelfTest,
    AngleThresholds,
    audit_angles,
)
from audit.circle import (
    CircleImage,
    CircleOutcome,
    LabelArc,
    ProvedSymmetry,
    audit_circle,
)
from audit.class_names import ClassNames
from audit.exactness import measure_exactness
from audit.journal import Journal
from audit.orbit import Classifier, Orbit, Progress, evaluate_orbit, symmetrise
from audit.procedure import run_audit
from audit.proved import ProofTier
from audit.report import (
    LOGIT_TOLERANCE,
    Accuracy,
    ElementFigures,
    Figures,
    NoiseFloor,
    Report,
    SelfTest,
    Thresholds,
    WorstImage,
)
from audit.selftest import mutate, self_test
from audit.statistics import ConfidenceSequence, clopper_pearson, label_entropy
from audit.subject import DataIdentity, Execution
from audit.tiers import Question, Stages, Subject, audit_tiers
from audit.values import Judgement, Proportion, Tolerance
from audit.verdict import judge
from audit.witness import Witness
from imaging.refusal import RefusedError

__all__ = [
    "LOGIT_TOLERANCE",
    "Accuracy",
    "AngleOutcome",
    "AnglePlan",
    "AngleSelfTest",
    "AngleThresholds",
    "CircleImage",
    "CircleOutcome",
    "ClassNames",
    "Classifier",
    "ConfidenceSequence",
    "DataIdentity",
    "ElementFigures",
    "Execution",
    "Figures",
    "Journal",
    "Judgement",
    "LabelArc",
    "NoiseFloor",
    "Orbit",
    "Progress",
    "ProofTier",
    "Proportion",
    "ProvedSymmetry",
    "Question",
    "RefusedError",
    "Report",
    "SelfTest",
    "Stages",
    "Subject",
    "Thresholds",
    "Tolerance",
    "Witness",
    "WorstImage",
    "audit_angles",
    "audit_circle",
    "audit_tiers",
    "clopper_pearson",
    "evaluate_orbit",
    "judge",
    "label_entropy",
    "measure_exactness",
    "mutate",
    "run_audit",
    "self_test",
    "symmetrise",
]
