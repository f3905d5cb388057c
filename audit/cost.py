"""What an audit costs, before it is paid: how many images are classified."""

from audit.angles.selftest import angle_self_test_questions
from audit.elements import audited_elements
from audit.orbit import orbit_questions
from audit.selftest import self_test_questions
from audit.tiers import Question
from imaging import nearest_arcs


def questions(question: Question, count: int, *, size: int, quarters_exact: bool) -> int:
    """How many images an audit over so many images classifies, self-tests included.

    Every angle of an image is counted, though neighbours that are equal are classified once: where
    there is a circle, it is at most so many.

    Parameters
    ----------
    size
        Side of an image.
    quarters_exact
        Whether quarter turns are known to change no bit, which spares three quarters of a circle.

    Raises
    ------
    ValueError
        If the group cannot be tried, or the images are too large to be tried at every angle.
    """
    elements = len(audited_elements(question.group))
    count = min(count, question.most_images or count)
    total = orbit_questions(count, elements) + self_test_questions(count, elements)
    if question.angles is not None:
        total += question.angles.questions(count, damped=True) + angle_self_test_questions(count)
    if question.circle_images:
        tried = len(range(0, count, -(-count // min(question.circle_images, count))))
        total += tried * (1 if quarters_exact else 4) * nearest_arcs(size).count
    return total
