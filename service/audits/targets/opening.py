"""How a model under test is opened by a worker elsewhere, which has to run it as is reported."""

import platform
from dataclasses import dataclass

from audit import Classifier, Execution
from imaging.refusal import RefusedError
from service.audits.targets.execution import execution
from service.engine import Opening


@dataclass(frozen=True)
class AsReported:
    """Opens a graph, and refuses to run it by other means than a report says.

    Attributes
    ----------
    expected
        What the report says.
    """

    opening: Opening
    expected: Execution

    def __call__(self) -> Classifier:
        """Open it.

        Raises
        ------
        RefusedError
            If the graph does not open, or the runtime or the processor is another.
        """
        session = self.opening.open()
        check_execution(execution(session.graph.configuration, session.threads), self.expected)
        return session.logits


def check_execution(found: Execution, expected: Execution) -> None:
    """Refuse a worker that runs a model by other means.

    Raises
    ------
    RefusedError
        Saying what differs, and where.
    """
    differs = [
        f"{name} {found} instead of {due}"
        for (name, found), (_, due) in zip(found, expected, strict=True)
        if found != due
    ]
    if differs:
        raise RefusedError(
            f"The worker on {platform.node()} runs the model by other means "
            f"({', '.join(differs)}), and a report states one; workers that are alike are accepted."
        )
