"""From the parts of a request to the batch that a model takes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audit import InputSpec
from imaging import ImageError, decode, fit
from imaging.fit import MAX_SIDE
from service.errors import TooLargeError, UnprocessableError, refuse_image
from service.protocol.parts import Part


def prepare(parts: Sequence[Part], spec: InputSpec, *, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode and fit each image, one after the other, so that one at a time is held in full size.

    Returns
    -------
    uint8 [N, C, size, size], in the order of the parts

    Raises
    ------
    ServiceError
        413 for too large images, 415 for bytes of no known format, 422 for others.
    """
    images = [fit(_pixels(part, spec, max_pixels), spec.fit) for part in parts]
    return images[0][None] if len(images) == 1 else np.stack(images)


def _pixels(part: Part, spec: InputSpec, max_pixels: int) -> npt.NDArray[np.uint8]:
    if isinstance(part.content, bytes):
        try:
            return decode(part.content, spec.channels, max_pixels=max_pixels)
        except ImageError as error:
            raise refuse_image(error, part.where) from None
    channels, height, width = part.content.shape
    if channels != spec.channels:
        raise UnprocessableError(
            f"The array's images have {channels} channels; this model takes {spec.channels}."
        )
    if height * width > max_pixels or max(height, width) > MAX_SIDE:
        raise TooLargeError(
            f"The array's images have {width} x {height} pixels; at most {max_pixels} pixels, "
            f"and {MAX_SIDE} along a side, are accepted."
        )
    return part.content
