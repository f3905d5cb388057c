"""How often a model is right: accuracy, confusion, figures by class, calibration, wrong images."""

from audit.evaluation.run import evaluate
from audit.evaluation.schema import (
    Answer,
    Asked,
    Bin,
    Calibration,
    ClassFigures,
    Confusion,
    Evaluation,
    EvaluationFigures,
    Picture,
    Rate,
    TopK,
    Unread,
)

__all__ = [
    "Answer",
    "Asked",
    "Bin",
    "Calibration",
    "ClassFigures",
    "Confusion",
    "Evaluation",
    "EvaluationFigures",
    "Picture",
    "Rate",
    "TopK",
    "Unread",
    "evaluate",
]
