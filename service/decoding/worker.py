"""What a decoding process does. It imports little, so that one that was ended is soon replaced."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imaging import FitPolicy, ImageError, decode, fit
from imaging.process import end_with_parent


@dataclass(frozen=True)
class Fault:
    """What is wrong with one of several images, as it travels from process to process."""

    place: int
    reason: str
    sentence: str


def decode_and_fit(
    contents: Sequence[bytes | npt.NDArray[np.uint8]],
    channels: Literal[1, 3],
    policy: FitPolicy,
    max_pixels: int,
    white_level: int | None = None,
) -> npt.NDArray[np.uint8] | Fault:
    """Decode and fit images, one after the other, so that one at a time is held in full size.

    Parameters
    ----------
    contents
        Image files, or pixels uint8 [C, H, W].

    Returns
    -------
    uint8 [N, C, height, width], in their order, or the first fault
    """
    if not contents:
        return np.empty((0, channels, *policy.shape), np.uint8)
    images = []
    for place, content in enumerate(contents):
        try:
            if isinstance(content, bytes):
                content = decode(content, channels, max_pixels=max_pixels, white_level=white_level)
        except ImageError as error:
            return Fault(place, error.reason, str(error))
        images.append(fit(content, policy))
    return images[0][None] if len(images) == 1 else np.stack(images)


def serve(pipe: "Connection[Any, Any]") -> None:
    """Answer each tuple of arguments with what `decode_and_fit` returns or raises."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends this one
    end_with_parent()
    while True:
        try:
            asked = pipe.recv()
        except (EOFError, OSError, MemoryError):
            return
        try:
            answer = decode_and_fit(*asked)
        except Exception as error:  # raised in the service, which tells the client
            pipe.send(error)
        else:
            pipe.send(answer)
