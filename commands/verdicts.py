"""What the exit status of a command says of its verdict."""

from typing import Final, get_args

from artifact.values import Verdict
from imaging import RefusedError

_STATUS: Final[dict[Verdict, int]] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}
_NEVER: Final = "never"


def read_fail_on(text: str | None) -> frozenset[Verdict]:
    """Read which verdicts are failures: `fail,inconclusive` for instance, or `never`.

    Raises
    ------
    RefusedError
        If it is something else.
    """
    if text is None:
        return frozenset(get_args(Verdict))
    named = [part.strip().upper() for part in text.split(",")]
    if named == [_NEVER.upper()]:
        return frozenset()
    if not set(named) <= set(_STATUS) - {"PASS"}:
        raise RefusedError(
            f"--fail-on is {text!r}; fail, inconclusive, both with a comma in between, or "
            f"{_NEVER}, is accepted."
        )
    return frozenset(verdict for verdict in _STATUS if verdict in named)


def exit_status(verdict: Verdict, fail_on: frozenset[Verdict]) -> int:
    """Return 0 for PASS, 1 for FAIL and 2 for INCONCLUSIVE; 0 for what is no failure."""
    return _STATUS[verdict] if verdict in fail_on else 0
