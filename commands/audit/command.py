"""`orbitserve audit`, as it is listed; what it runs is imported when it is called."""

from collections.abc import Callable

from commands.model_options import CommandOfAModel, with_options


def audit() -> None:
    """Measure whether rotated images get the same answer.

    The exit status is 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE and 3 for an error. With
    --fail-on, verdicts that it does not name give 0.

    Example: orbitserve audit rotmnist-c4 --images ./photos

    Example: orbitserve audit rotmnist-c4 --angles 36 --resampler bilinear --exhaustive-angles

    Example: orbitserve audit http://localhost:8000/models/rotmnist-c4 --images ./photos
    --fail-on fail,inconclusive --output report.html --output report.sarif
    """


class AuditCommand(CommandOfAModel):
    """`audit` with options of its own and those of `AuditOptions`."""

    def load(self) -> Callable[..., None]:
        """Return what it runs."""
        from audit.options import AuditOptions
        from commands.audit.run import run

        return with_options(run, AuditOptions)
