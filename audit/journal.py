"""The answers of an audit, kept in a file, so that one that was interrupted goes on where it was.

An answer is found again by what was asked: who answers, which batch, and how often this batch was
asked before. The last of these keeps the noise floor honest: a batch that is asked twice to see
whether the answer stays is answered twice.
"""

import fcntl
import hashlib
import os
import pickle
import stat
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from audit.orbit import Classifier
from audit.questions import Question, Workers
from imaging.refusal import RefusedError

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
_MARK: Final = b"orbitserve answers 1\n"
_HEAD: Final = struct.Struct("<32sII")
_CHECK: Final = struct.Struct("<I")


class Journal:
    """An append-only file of answers, a record for each batch.

    A record is a key of 32 bytes, N and K, the logits float32 [N, K], and the CRC-32 of all that,
    in one write. Whatever follows the last whole record, as after a power failure, is cut off when
    the file is opened.

    Parameters
    ----------
    path
        The file; it is made if there is none.

    Raises
    ------
    ValueError
        If it cannot be read and written, is another kind of file, or another audit writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        self.kept = self.asked = 0
        try:
            self._file = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise self._refusal(error) from error
        try:
            self._records = self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def remember(self, who: str, classify: Classifier) -> Classifier:
        """Return the classifier that looks its answers up, and asks for those that are not there.

        `who` says what answers: the digest of a file and what runs it. Where that is another one,
        nothing that was kept is used. It may be asked on several threads.
        """

        def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            with self._lock:
                key = self._key(who, images)
                if key in self._records:
                    self.kept += len(images)
                    return self._load(key)
            logits = classify(images)
            with self._lock:
                self._append(key, logits)
                self.asked += len(images)
            return logits

        return answer

    def remember_workers(self, who: str, workers: Workers) -> Workers:
        """Return the workers of whom is asked what was not answered before.

        `who` says what answers, as for `remember`, and about which images.
        """

        def answer(questions: Iterable[Question]) -> Iterator[NDArray[np.float32]]:
            asked = [(each, self._question_keys(who, each)) for each in questions]
            known = [all(key in self._records for key in keys) for _, keys in asked]
            new = workers(q for (q, _), one in zip(asked, known, strict=True) if not one)
            for (_, keys), one in zip(asked, known, strict=True):
                for key in keys:
                    logits = self._load(key) if one else next(new)
                    if one:
                        self.kept += len(logits)
                    else:
                        self._append(key, logits)
                        self.asked += len(logits)
                    yield logits

        return answer

    def _question_keys(self, who: str, question: Question) -> list[bytes]:
        asked = hashlib.sha256(f"{who}\n".encode() + pickle.dumps(question)).digest()
        self._seen[asked] += 1
        again = asked + self._seen[asked].to_bytes(8, "little")
        return [
            hashlib.sha256(again + call.to_bytes(8, "little")).digest()
            for call in range(question.calls)
        ]

    def _key(self, who: str, images: NDArray[np.uint8]) -> bytes:
        digest = hashlib.sha256(f"{who}\n{images.shape}\n".encode())
        digest.update(np.ascontiguousarray(images).data)
        batch = digest.digest()
        self._seen[batch] += 1
        return hashlib.sha256(batch + self._seen[batch].to_bytes(8, "little")).digest()

    def _load(self, key: bytes) -> NDArray[np.float32]:
        place, rows, classes = self._records[key]
        data = os.pread(self._file, 4 * rows * classes, place)
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(rows, classes)

    def _append(self, key: bytes, logits: NDArray[np.float32]) -> None:
        if logits.ndim != 2:
            return  # The audit is about to refuse it.
        values = np.ascontiguousarray(logits, "<f4").tobytes()
        record = _HEAD.pack(key, *logits.shape) + values
        record += _CHECK.pack(zlib.crc32(record))
        self._write(record)
        self._records[key] = (self._end + _HEAD.size, *logits.shape)
        self._end += len(record)

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise self._refusal(error) from error
        if written != len(data):
            raise RefusedError(f"The file {self._path} cannot be written: the disk is full.")

    def _read(self) -> dict[bytes, tuple[int, int, int]]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                f"The file {self._path} is written by another audit; one at a time is accepted."
            ) from error
        except OSError as error:  # where another one writes, what is read is no longer where it was
            raise RefusedError(
                f"The file {self._path} cannot be locked: {error.strerror}; one on a disk that has "
                "locks is accepted."
            ) from error
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError(f"The file {self._path} is no regular one; one is accepted.")
        size = found.st_size
        start = os.pread(self._file, len(_MARK), 0)
        if not _MARK.startswith(start):
            raise RefusedError(
                f"The file {self._path} holds no answers of an audit; a new file, or one that an "
                "audit has made, is accepted."
            )
        if len(start) < len(_MARK):
            os.truncate(self._file, 0)
            self._write(_MARK)
        self._end = len(_MARK)
        records = {}
        for key, rows, classes in self._whole_records(size):
            records[key] = (self._end + _HEAD.size, rows, classes)
            self._end += _HEAD.size + 4 * rows * classes + _CHECK.size
        os.truncate(self._file, self._end)
        return records

    def _whole_records(self, size: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield key, N and K of each record from `_end` on, up to one that is not whole."""
        while self._end + _HEAD.size <= size:
            key, rows, classes = _HEAD.unpack(os.pread(self._file, _HEAD.size, self._end))
            length = _HEAD.size + 4 * rows * classes
            if self._end + length + _CHECK.size > size:
                return
            record = os.pread(self._file, length + _CHECK.size, self._end)
            if zlib.crc32(record[:length]) != _CHECK.unpack(record[length:])[0]:
                return
            yield key, rows, classes

    def _refusal(self, error: OSError) -> RefusedError:
        return RefusedError(
            f"The file {self._path} cannot be used: {error.strerror}; one that can be read and "
            "written is accepted."
        )
