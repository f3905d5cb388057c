"""A training run's folder: what is trained, its state after each epoch, and its outcome.

``run.json`` says what is trained; ``checkpoint.pt`` is the state to resume from; ``metrics.jsonl``
has a line an epoch; ``weights.safetensors`` appears when the training is over, ``audit.npz`` and
``result.json`` when the network has been tested: then the folder holds all that an export needs.
Until then `answers` has what a teacher said of each copy of the images. Every file is written aside
and renamed, so that an interruption loses at most one epoch.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import BinaryIO, Final

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from safetensors.torch import save as serialise

from imaging.files import (
    MOST_TEXT,
    FileRefusedError,
    open_file,
    read_file,
    read_named,
)
from imaging.refusal import RefusedError
from imaging.writing import check_folder, remove_left_aside, written_aside
from models.datasets.split import Split, write_split
from models.datasets.split import load as load_split
from models.networks import Network
from models.run_info import Result, RunInfo
from models.targets import Teacher
from models.training import Training

RUN_FILE: Final = "run.json"
RESULT_FILE: Final = "result.json"
METRICS_FILE: Final = "metrics.jsonl"
PICTURES: Final = ("confusion.svg", "confusion.png", "learning-curve.svg", "wrong.png")
TABLES: Final = ("confusion.csv", "wrong.csv")
FILES: Final = (
    *(RESULT_FILE, "audit.npz", "weights.safetensors", "checkpoint.pt", METRICS_FILE),
    *(*PICTURES, *TABLES, RUN_FILE),
)
"""All that a run's folder may hold; what says that it is one goes last."""

_ANSWERS: Final = "answers"
"""The folder of a teacher's answers, a file for each copy of the images, which may take hours."""

_MOST_WEIGHTS: Final = 2**31
_MOST_STATE: Final = 2**34
"""Bytes of weights, and of a checkpoint, which holds those of the optimiser and averages too."""

_UNREADABLE: Final = (
    FileRefusedError,
    OSError,
    EOFError,
    RuntimeError,
    SafetensorError,
    UnpicklingError,
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
)
"""What the readers of weights raise of a file that is damaged, locked, or another network's, or
holds something else."""


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: the trained network, its result, and test images for audits."""

    network: Network
    result: Result
    audit_set: Split


class Run:
    """One run's folder.

    Raises
    ------
    ValueError
        If the folder holds another run, or a file of it cannot be read.
    """

    def __init__(self, folder: Path, info: RunInfo) -> None:
        self.folder, self.info = folder, info

    @classmethod
    def begin(
        cls, folder: Path, info: RunInfo, *, resume: bool = False, overwrite: bool = False
    ) -> "Run":
        """Make the folder; what a run that was killed has left of a file is removed from it.

        With ``resume`` an earlier run of the very same kind goes on, for more or fewer epochs than
        it was to have, and has no result before it has ended again; with ``overwrite`` one of any
        kind is removed.
        """
        cls.check_free(folder, resume=resume, overwrite=overwrite)
        if overwrite:
            for name in FILES:
                (folder / name).unlink(missing_ok=True)
            _forget_answers(folder)
        elif cls.is_in(folder):
            before = cls.open(folder)
            info = before._extended(info)
            if info.recipe != before.info.recipe:
                before._forget_result()
        _make_folder(folder)
        remove_left_aside(folder)
        text = info.model_dump_json(indent=2)
        write_run_file(folder / RUN_FILE, text.encode())
        return cls(folder, info)

    @staticmethod
    @contextmanager
    def held(folder: Path) -> Iterator[None]:
        """Make the folder, and let nobody else train in it inside of the context.

        Raises
        ------
        RefusedError
            If it cannot be made, or somebody else does.
        """
        _make_folder(folder)
        held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # where a file system has no locks
                _lock(held, folder)
            yield
        finally:
            os.close(held)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a run has begun in a folder."""
        return (folder / RUN_FILE).exists()

    @staticmethod
    def check_free(folder: Path, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder in which no run can begin, before there is anything to train."""
        if Run.is_in(folder) and not (resume or overwrite):
            raise RefusedError(
                f"{folder} holds a run already; --resume goes on with it, --overwrite begins it "
                "anew, and --name gives this one another folder."
            )
        check_folder(folder, "--runs")

    def _extended(self, info: RunInfo) -> RunInfo:
        """Return what goes on with this run: it stops early by what comes from now on."""
        if not self.info.is_of_the_kind_of(info):
            raise RefusedError(
                f"{self.folder} holds a run of another network, recipe or data set; --overwrite "
                "begins it anew, and --name gives this one another folder."
            )
        here, asked = self.info.recipe, info.recipe.epochs
        if asked == here.epochs:
            return info.model_copy(update={"recipe": here})
        done = self._epochs_done()
        if asked < done:
            raise RefusedError(
                f"{self.folder} has run for {done} epochs already; --epochs goes on with more."
            )
        longer = here.model_copy(update={"epochs": asked, "extended_at": done})
        return info.model_copy(update={"recipe": longer})

    def _epochs_done(self) -> int:
        path = self.folder / METRICS_FILE
        return read_named(path, MOST_TEXT).count(b"\n") if path.exists() else 0

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open a run for reading."""
        path = folder / RUN_FILE
        if not path.exists():
            raise RefusedError(f"{folder} is not the folder of a run: it has no run.json.")
        try:
            return cls(folder, RunInfo.model_validate_json(read_named(path, MOST_TEXT)))
        except ValidationError as error:
            raise RefusedError(f"{path} does not describe a run: {_first(error)}.") from None

    def training(
        self, device: torch.device | None = None, teacher: Teacher | None = None
    ) -> Training:
        """Return the run's training as its last complete epoch left it, on whatever device."""
        training = Training(self.info.network, self.info.recipe, device, teacher)
        checkpoint = self.folder / "checkpoint.pt"
        if checkpoint.exists():
            try:
                with open_file(checkpoint, _MOST_STATE) as file:
                    state = torch.load(file, map_location="cpu", weights_only=True)
                training.load_state_dict(state)
            except _UNREADABLE as error:
                raise _damaged("checkpoint", checkpoint, error) from error
        for path in sorted((self.folder / _ANSWERS).glob("*.npy")):
            try:
                with open_file(path, _MOST_STATE) as file:
                    answers = torch.from_numpy(np.load(file, allow_pickle=False))
                if answers.shape[1:] != (self.info.network.classes,):
                    raise ValueError(answers.shape)
                training.answers[int(path.stem)] = answers.to(training.device)
            except _UNREADABLE as error:
                raise _damaged("answers", path, error) from error
        return training

    def record(self, training: Training) -> None:
        """Keep the state and the metrics of the epoch that just ended."""
        _write(self.folder / "checkpoint.pt", lambda file: torch.save(training.state_dict(), file))
        lines = "".join(f"{epoch.model_dump_json()}\n" for epoch in training.history)
        write_run_file(self.folder / METRICS_FILE, lines.encode())
        if training.answers:
            _make_folder(self.folder / _ANSWERS)
        for view, answers in training.answers.items():
            path = self.folder / _ANSWERS / f"{view}.npy"
            if not path.exists():
                _write(path, partial(np.save, arr=answers.cpu().numpy()))

    def keep(self, network: Network) -> None:
        """Keep the weights of the network whose training is over; a result of others goes."""
        weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
        path, data = self.folder / "weights.safetensors", serialise(weights)
        if not path.exists() or read_named(path, _MOST_WEIGHTS) != data:
            self._forget_result()
        write_run_file(path, data)
        _forget_answers(self.folder)

    def finish(self, result: Result, audit_set: Split) -> None:
        """Keep the network's error on the test set, and some of its images."""
        _write(self.folder / "audit.npz", lambda file: write_split(audit_set, file))
        text = result.model_dump_json()
        write_run_file(self.folder / RESULT_FILE, text.encode())

    def network(self, sha256: str | None = None) -> Network:
        """Return the trained network, ready to be evaluated.

        Parameters
        ----------
        sha256
            The digest that its weights are to have, if somebody has noted it.

        Raises
        ------
        RefusedError
            If there are no weights yet, or others, or they cannot be read.
        """
        path = self.folder / "weights.safetensors"
        if not self._has_weights():
            raise RefusedError(f"{self.folder} has no weights yet; finish it with --resume.")
        network = Network(self.info.network)
        try:
            data = read_file(path, _MOST_WEIGHTS)
            network.load_state_dict(load(data))
        except _UNREADABLE as error:
            raise _damaged("weights", path, error) from error
        if sha256 not in (None, hashlib.sha256(data).hexdigest()):
            raise RefusedError(
                f"The weights {path} are no longer those with the digest {sha256}, which were to "
                "be used."
            )
        return network.eval()

    def outcome(self) -> Outcome:
        """Return what the run ended with.

        Raises
        ------
        RefusedError
            If it has not ended, goes on meanwhile, or a file of it cannot be read.
        """
        info, digest = self.info, self.weights_sha256() if self._has_weights() else None
        found = Outcome(self.network(), self.result(), self.audit_set())
        # A run that goes on has no result until its weights are there, so these do not belong to
        # others if they are still the same.
        if Run.open(self.folder).info != info or self.weights_sha256() != digest:
            raise RefusedError(f"{self.folder} is being trained; it is ready when that has ended.")
        return found

    def weights_sha256(self) -> str:
        """Return the digest of the file of trained weights."""
        return hashlib.sha256(
            read_named(self.folder / "weights.safetensors", _MOST_WEIGHTS)
        ).hexdigest()

    def result(self) -> Result:
        """Return the outcome on the test set."""
        path = self.folder / RESULT_FILE
        if not path.exists() and self.info.recipe.is_for_choosing:
            raise RefusedError(
                f"{self.folder} has not been tested yet, as it holds {self.info.recipe.validation} "
                "images out to choose by; a run without --validation is tested."
            )
        if not path.exists():
            raise RefusedError(f"{self.folder} has not been tested yet; finish it with --resume.")
        try:
            return Result.model_validate_json(read_named(path, MOST_TEXT))
        except ValidationError as error:
            raise RefusedError(f"{path} holds no result: {_first(error)}.") from None

    def _has_weights(self) -> bool:
        return (self.folder / "weights.safetensors").exists()

    def _forget_result(self) -> None:
        """Remove the result of weights that are another's from now on."""
        (self.folder / RESULT_FILE).unlink(missing_ok=True)

    def audit_set(self) -> Split:
        """Return the test images that the run keeps for audits."""
        path = self.folder / "audit.npz"
        if not path.exists():
            raise RefusedError(f"{self.folder} has no audit set yet; finish it with --resume.")
        return load_split(path)


def _forget_answers(folder: Path) -> None:
    answers = folder / _ANSWERS
    if answers.is_dir():
        for path in answers.glob("*.npy"):
            path.unlink()
        with suppress(OSError):  # somebody else's files are in it
            answers.rmdir()


def write_run_file(path: Path, data: bytes) -> None:
    """Write a file of a run whole or not at all.

    Raises
    ------
    RefusedError
        If it cannot be written.
    """
    _write(path, lambda file: file.write(data))


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    try:
        with written_aside(path) as file:
            write(file)
    except (OSError, RuntimeError) as error:  # of a full disk, each in its way
        raise RefusedError(f"The file {path} cannot be written: {_reason(error)}.") from error


def _lock(held: int, folder: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RefusedError(
            f"Another process trains in {folder}; one at a time is accepted, and --name gives this "
            "one another folder."
        ) from error


def _damaged(what: str, path: Path, error: Exception) -> RefusedError:
    if isinstance(error, FileRefusedError):
        return RefusedError(f"The {what} {path} {error}.")
    if isinstance(error, UnpicklingError):  # torch's own words say how to run what is in it
        return RefusedError(
            f"The {what} {path} cannot be read: it is damaged, or holds other things than numbers, "
            "and nothing in it was run."
        )
    if isinstance(error, LookupError | TypeError | AttributeError | ValueError):
        return RefusedError(
            f"The {what} {path} cannot be read: it holds something else than this network's."
        )
    return RefusedError(f"The {what} {path} cannot be read: {_reason(error)}.")


def _first(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ").rstrip(".")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(
            f"The folder {folder} cannot be made: {_reason(error)}; --runs names another."
        ) from error


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    lines = str(strerror or error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")
