"""What workers and their supervisor say to each other: MessagePack behind its length.

A worker puts a question to all workers, itself included, through the supervisor. Each worker gets
the questions in one order, so that changes end in one state everywhere.
"""

import struct
from typing import Final

import msgspec
from msgspec import Struct

_LENGTH: Final = struct.Struct("!Q")


class Load(Struct, tag=True, frozen=True):
    """Load what is not served of a model."""

    name: str


class Unload(Struct, tag=True, frozen=True):
    """Serve a model no longer."""

    name: str


class Poll(Struct, tag=True, frozen=True):
    """Look at the repository."""


class Count(Struct, tag=True, frozen=True):
    """Tell all metrics."""


class Statistics(Struct, tag=True, frozen=True):
    """Tell what versions have done: all, those of a model, or one."""

    name: str | None = None
    version: int | None = None


class FindJob(Struct, tag=True, frozen=True):
    """Tell where an audit is, under `root`, after cancelling it if so asked."""

    id: str
    root: str
    cancel: bool = False
    report: bool = False


Question = Load | Unload | Poll | Count | Statistics | FindJob


class Answer(Struct, frozen=True):
    """What one worker answers: content, or the status and the sentence of a refusal."""

    content: bytes = b""
    status: int = 0
    sentence: str = ""


class State(Struct, tag=True, frozen=True):
    """How a worker is.

    Attributes
    ----------
    started
        Whether everything that was there at its start is loaded or refused.
    unready
        Why no requests should be sent to it; None if they should.
    """

    started: bool
    unready: str | None


class Beat(Struct, tag=True, frozen=True):
    """A sign of life of a worker's event loop."""


class Counted(Struct, tag=True, frozen=True):
    """A worker's metrics, told unasked: what is known of them if it dies."""

    metrics: bytes


class Refused(Struct, tag=True, frozen=True):
    """Why a worker cannot start as it is configured."""

    sentence: str


class Ask(Struct, tag=True, frozen=True):
    """Put a question to all workers; whoever has not answered in time is left out."""

    number: int
    question: Question
    seconds: float | None = None


class Put(Struct, tag=True, frozen=True):
    """A question to one worker."""

    number: int
    question: Question


class Reply(Struct, tag=True, frozen=True):
    """A worker's answer to the question of that number."""

    number: int
    answer: Answer


class Answers(Struct, tag=True, frozen=True):
    """All answers to what a worker has asked under that number."""

    number: int
    answers: list[Answer]


class Elsewhere(Struct, tag=True, frozen=True):
    """Why another worker is not ready; None if all are."""

    unready: str | None


class End(Struct, tag=True, frozen=True):
    """Finish what is under way and end, as after the signal of this number; it comes once."""

    signal: int


FromWorker = State | Beat | Counted | Refused | Ask | Reply
ToWorker = Put | Answers | Elsewhere | End

_ENCODER: Final = msgspec.msgpack.Encoder()
FROM_WORKER: Final[msgspec.msgpack.Decoder[FromWorker]] = msgspec.msgpack.Decoder(FromWorker)
TO_WORKER: Final[msgspec.msgpack.Decoder[ToWorker]] = msgspec.msgpack.Decoder(ToWorker)


def encoded(message: FromWorker | ToWorker) -> bytes:
    """Write a message behind its length."""
    content = _ENCODER.encode(message)
    return _LENGTH.pack(len(content)) + content


class Reading:
    """Takes bytes as they come, and gives back the messages that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def take(self, data: bytes) -> list[bytes]:
        """Add bytes, and return what has become whole."""
        self._buffer += data
        whole, place, size = [], 0, _LENGTH.size
        while len(self._buffer) - place >= size:
            (length,) = _LENGTH.unpack_from(self._buffer, place)
            end = place + size + length
            if len(self._buffer) < end:
                break
            whole.append(bytes(self._buffer[place + size : end]))
            place = end
        del self._buffer[:place]
        return whole
