"""Images as one array in NumPy's own file format, `application/x-npy`."""

import io
import math

import numpy as np

from imaging.arrays import read_header
from service.errors import ServiceError
from service.protocol.parts import Part, check_count

_ACCEPTED = "a uint8 array [H, W], [C, H, W] or [N, C, H, W] with C = 1 or 3 is accepted"

_LONGEST = 2**63 - 1


def read_npy(body: bytes, max_images: int) -> list[Part]:
    """Take the images out of a `.npy` file, in their order; the pixels are not copied.

    Only the header is parsed, and its sizes are compared with the bytes that are there, so that
    neither a pickle nor a false shape reaches the allocator.

    Raises
    ------
    ServiceError (400)
        If the bytes are no `.npy` file, or fewer or more than its header says.
    TooLargeError
        If it holds too many images.
    ServiceError (422)
        If the array is of another type or shape.
    """
    file = io.BytesIO(body)
    try:
        shape, fortran_order, dtype = read_header(file)
    except Exception:  # NumPy tokenises and evaluates the header, which raises nearly anything
        raise ServiceError(400, f"The body is no .npy file; {_ACCEPTED}.") from None
    if dtype != np.uint8:
        raise ServiceError(422, f"The array is of type {dtype}; {_ACCEPTED}.")
    # To NumPy's reader a truth value is an integer too, and it reads those of any length.
    if any(type(side) is not int or side > _LONGEST for side in shape):
        raise ServiceError(422, f"The array has sides that are no lengths; {_ACCEPTED}.")
    if not 2 <= len(shape) <= 4 or min(shape) < 1 or (len(shape) > 2 and shape[-3] not in (1, 3)):
        raise ServiceError(422, f"The array has the shape {list(shape)}; {_ACCEPTED}.")
    check_count(shape[0] if len(shape) == 4 else 1, max_images)
    present = len(body) - file.tell()
    if math.prod(shape) != present:
        raise ServiceError(
            400,
            f"The array of shape {list(shape)} asks for {math.prod(shape)} bytes and "
            f"{present} follow its header; {_ACCEPTED}.",
        )
    array = np.frombuffer(body, np.uint8, offset=file.tell())
    array = array.reshape(shape, order="F" if fortran_order else "C")
    if array.ndim < 4:
        return [Part(array.reshape(-1, *array.shape[-2:]))]
    return [Part(image, f"image {index}") for index, image in enumerate(array)]
