"""An evaluation in the forms that its readers use, a file each."""

from audit.render.evaluation.formats import EvaluationForm, render_evaluation, render_form

__all__ = ["EvaluationForm", "render_evaluation", "render_form"]
