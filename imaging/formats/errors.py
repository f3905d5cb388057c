"""Why a file is refused, and the sentences that are common to all formats."""

from typing import Literal

from imaging.fit import MAX_SIDE
from imaging.formats.accepted import ACCEPTED
from imaging.refusal import RefusedError

Reason = Literal["empty", "unknown-format", "too-large", "broken", "animated"]


class ImageError(RefusedError):
    """The bytes are not an image that is accepted; `reason` names the kind of refusal."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def broken(detail: object) -> ImageError:
    """The refusal of a damaged file; `detail` says what is wrong, in a few words."""
    message = f"The image is broken or cut off ({detail}); a whole file is accepted."
    return ImageError("broken", message)


def several_frames() -> ImageError:
    """The refusal of an animation, or of a file of several pages."""
    return ImageError("animated", f"The file holds several frames; {ACCEPTED} is accepted.")


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image that has no pixels, or too many."""
    if width < 1 or height < 1:
        raise broken(f"its size is {width} x {height}")
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise too_large(max_pixels)


def too_large(max_pixels: int) -> ImageError:
    """The refusal of an image that has too many pixels."""
    limits = f"at most {max_pixels} pixels, and {MAX_SIDE} along a side, are accepted"
    return ImageError("too-large", f"The image is too large; {limits}.")
