"""What is measured about a classifier's invariance, and how it is judged and reported."""

from audit.audit_set import AuditSet, load_audit_set, save_audit_set
from audit.card import (
    AuditFigures,
    AuditSetInfo,
    Card,
    InputSpec,
    Metric,
    NetworkSize,
    Parity,
    Training,
    load_card,
    sha256_file,
)
from audit.orbit import Classifier, Orbit, Progress, evaluate_orbit, symmetrise
from audit.procedure import run_audit
from audit.report import (
    Accuracy,
    DataIdentity,
    ElementFigures,
    Figures,
    ModelIdentity,
    NoiseFloor,
    Precision,
    Report,
    SelfTest,
    Thresholds,
    Verdict,
    WorstImage,
)
from audit.selftest import mutate, self_test
from audit.statistics import Interval, clopper_pearson, label_entropy
from audit.verdict import Judgement, judge

__all__ = [
    "Accuracy",
    "AuditFigures",
    "AuditSet",
    "AuditSetInfo",
    "Card",
    "Classifier",
    "DataIdentity",
    "ElementFigures",
    "Figures",
    "InputSpec",
    "Interval",
    "Judgement",
    "Metric",
    "ModelIdentity",
    "NetworkSize",
    "NoiseFloor",
    "Orbit",
    "Parity",
    "Precision",
    "Progress",
    "Report",
    "SelfTest",
    "Thresholds",
    "Training",
    "Verdict",
    "WorstImage",
    "clopper_pearson",
    "evaluate_orbit",
    "judge",
    "label_entropy",
    "load_audit_set",
    "load_card",
    "mutate",
    "run_audit",
    "save_audit_set",
    "self_test",
    "sha256_file",
    "symmetrise",
]
