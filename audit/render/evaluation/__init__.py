"""An evaluation in the formats that its readers use, a file each."""

from audit.render.evaluation.formats import EVALUATION_FORMATS, EvaluationFormat

__all__ = ["EVALUATION_FORMATS", "EvaluationFormat"]
