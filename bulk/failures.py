"""What other people's exceptions say, in the words of a sentence."""

from typing import Final

_LONGEST: Final = 200


def reason(error: BaseException) -> str:
    """Return what an exception says, on one line and without its full stop."""
    said = " ".join(str(error).split())[:_LONGEST].rstrip(". ")
    return said or type(error).__name__
