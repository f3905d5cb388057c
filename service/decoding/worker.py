"""What a decoding process does. It imports little, so that one that was ended is soon replaced."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imaging import FitPolicy, ImageError, decode, fit
from imaging.process import ENDING, end_with_parent


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


def leave_signals_to_the_service() -> None:
    """Ignore what asks the service to end, which ends this process when all is decoded.

    Ctrl-C comes to every process of a terminal, and systemd's SIGTERM to every one of a unit.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def serve(pipe: "Connection[Any, Any]") -> None:
    """Answer each tuple of arguments with what `decode_and_fit` returns or raises."""
    end_with_parent()
    leave_signals_to_the_service()
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
