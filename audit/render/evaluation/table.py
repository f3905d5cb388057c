"""An evaluation as CSV: one line a file, for spreadsheets and programs."""

from typing import Final

from audit.evaluation import Evaluation
from imaging.tables import to_csv

COLUMNS: Final = ("file", "expected", "predicted", "probability", "correct")


def render_table(evaluation: Evaluation) -> bytes:
    """Write a line for each image, as `imaging.tables.to_csv` does.

    `correct` is 1 or 0, so that its mean is the accuracy. Files that could not be read have an
    empty prediction.
    """
    name = evaluation.model.class_name
    answered = (
        (each.name, name(each.expected), name(each.answered), each.probability, int(each.right))
        for each in evaluation.answers
    )
    unread = ((each.name, name(each.expected), "", "", "") for each in evaluation.unread)
    return to_csv([COLUMNS, *answered, *unread])
