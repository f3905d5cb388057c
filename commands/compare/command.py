"""`orbitserve compare`, as it is listed; what it runs is imported when it is called."""

from collections.abc import Callable

from commands.model_options import CommandOfAModel, with_options


def compare() -> None:
    """Say whether B is worse than A on the same images, upright and rotated.

    The exit status is 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE and 3 for an error. With
    --fail-on, verdicts that it does not name give 0.

    Example: orbitserve compare rotmnist-c4/1 rotmnist-c4/2 --images ./photos

    Example: orbitserve compare last-release.json report.json --fail-on fail --output gate.html
    """


class CompareCommand(CommandOfAModel):
    """`compare` with options of its own and those of `ComparisonOptions`."""

    def load(self) -> Callable[..., None]:
        """Return what it runs."""
        from audit.comparison import ComparisonOptions
        from commands.compare.run import run

        return with_options(run, ComparisonOptions)
