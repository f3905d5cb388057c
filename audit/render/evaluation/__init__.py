"""An evaluation in the formats that its readers use, a file each."""

from audit.render.evaluation.formats import EvaluationFormat, format_of, render_evaluation

__all__ = ["EvaluationFormat", "format_of", "render_evaluation"]
