"""What is measured about a classifier's invariance, and how it is judged and reported."""

from audit.angles import (
    AngleOutcome,
    AnglePlan,
    AngleSelfTest,
    AngleThresholds,
    audit_angles,
)
from audit.audit_set import AuditSet, load_audit_set, parse_audit_set, save_audit_set
from audit.card import (
    AuditFigures,
    AuditSetInfo,
    Card,
    Conversion,
    InputSpec,
    Metric,
    NetworkSize,
    Parity,
    ProofFigures,
    Speed,
    Training,
    Twin,
    load_card,
    parse_card,
    sha256_file,
)
from audit.circle import (
    CircleImage,
    CircleOutcome,
    LabelArc,
    ProvedSymmetry,
    audit_circle,
)
from audit.class_names import ClassNames
from audit.exactness import Exactness, measure_exactness
from audit.journal import Journal
from audit.orbit import Classifier, Orbit, Progress, evaluate_orbit, symmetrise
from audit.origin import Change, Origin
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
from audit.statistics import ConfidenceSequence, Interval, clopper_pearson, label_entropy
from audit.subject import DataIdentity, Execution, ModelIdentity
from audit.tiers import Question, Stages, Subject, audit_tiers
from audit.values import Judgement, Precision, Proportion, Tolerance, Verdict
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
    "AuditFigures",
    "AuditSet",
    "AuditSetInfo",
    "Card",
    "Change",
    "CircleImage",
    "CircleOutcome",
    "ClassNames",
    "Classifier",
    "ConfidenceSequence",
    "Conversion",
    "DataIdentity",
    "ElementFigures",
    "Exactness",
    "Execution",
    "Figures",
    "InputSpec",
    "Interval",
    "Journal",
    "Judgement",
    "LabelArc",
    "Metric",
    "ModelIdentity",
    "NetworkSize",
    "NoiseFloor",
    "Orbit",
    "Origin",
    "Parity",
    "Precision",
    "Progress",
    "ProofFigures",
    "ProofTier",
    "Proportion",
    "ProvedSymmetry",
    "Question",
    "RefusedError",
    "Report",
    "SelfTest",
    "Speed",
    "Stages",
    "Subject",
    "Thresholds",
    "Tolerance",
    "Training",
    "Twin",
    "Verdict",
    "Witness",
    "WorstImage",
    "audit_angles",
    "audit_circle",
    "audit_tiers",
    "clopper_pearson",
    "evaluate_orbit",
    "judge",
    "label_entropy",
    "load_audit_set",
    "load_card",
    "measure_exactness",
    "mutate",
    "parse_audit_set",
    "parse_card",
    "run_audit",
    "save_audit_set",
    "self_test",
    "sha256_file",
    "symmetrise",
]
