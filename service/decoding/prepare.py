"""From the parts of a request to the batch that a model takes."""

from collections.abc import Sequence
from typing import cast

from artifact.card import InputSpec
from artifact.contract import Images
from imaging import ImageError
from imaging.fit import MAX_SIDE
from imaging.formats.errors import Reason
from service.decoding.worker import Fault, decode_and_fit
from service.errors import ServiceError, TooLargeError, refuse_image
from service.protocol import Part


def prepare(parts: Sequence[Part], spec: InputSpec, *, max_pixels: int) -> Images:
    """Decode and fit each image, in this process.

    Returns
    -------
    uint8 [N, C, size, size], in the order of the parts

    Raises
    ------
    ServiceError
        413 for too large images, 415 for bytes of no known format, 422 for others.
    """
    check_arrays(parts, spec, max_pixels)
    contents = [part.content for part in parts]
    found = decode_and_fit(contents, spec.channels, spec.fit, max_pixels, spec.white_level)
    if isinstance(found, Fault):
        raise refusal(found, parts)
    return found


def check_arrays(parts: Sequence[Part], spec: InputSpec, max_pixels: int) -> None:
    """Refuse arrays that the model does not take."""
    for part in parts:
        if isinstance(part.content, bytes):
            continue
        channels, height, width = part.content.shape
        if channels != spec.channels:
            raise ServiceError(
                422,
                f"The array's images have {channels} channels; this model takes {spec.channels}.",
            )
        if height * width > max_pixels or max(height, width) > MAX_SIDE:
            raise TooLargeError(
                f"The array's images have {width} x {height} pixels; at most {max_pixels} pixels, "
                f"and {MAX_SIDE} along a side, are accepted."
            )


def refusal(fault: Fault, parts: Sequence[Part]) -> ServiceError:
    """Return what is raised for a fault of one of the images."""
    error = ImageError(cast(Reason, fault.reason), fault.sentence)
    return refuse_image(error, parts[fault.place].where)
