"""One version of a model: its directory checked against its card, and its session opened."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from audit import AuditSet, Card, load_audit_set, load_card, sha256_file
from service.engine import (
    DEFAULT_LIMITS,
    AuditedGraph,
    GraphError,
    Inference,
    Limits,
    Selection,
    Session,
    Signature,
    Spent,
)
from service.engine.waiting import Images
from service.observability.call import Call
from service.observability.statistics import Statistics
from service.observability.timings import Stage
from service.protocol import ServedIdentity
from service.verification import Mode, Verification, verify

MODEL_FILE, CARD_FILE, AUDIT_FILE = "model.onnx", "card.json", "audit.npz"


class ModelRejectedError(Exception):
    """A version directory is not what its card says; the message is one sentence."""


@dataclass(eq=False)
class _Users:
    """How many requests use a version, and what to do when none does any more."""

    count: int = 0
    when_none: Callable[[], object] | None = None


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A version that is loaded: its card, its session and the folder that both came from.

    Whoever awaits while using a version does so inside of `with model:`, so that a version that
    is unloaded meanwhile lives until its last request is answered. It is entered and left, and
    retired, on the event loop.
    """

    folder: Path
    card: Card
    session: Session
    verification: Verification
    load_seconds: float
    statistics: Statistics = field(default_factory=Statistics)
    _siblings: dict[str, AuditedGraph] = field(default_factory=dict)
    _users: _Users = field(default_factory=_Users)

    def __enter__(self) -> Self:
        self._users.count += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users.count -= 1
        self._end_if_unused()

    def retire(self, end: Callable[[], object]) -> None:
        """Call `end` as soon as nobody uses this version: now, or after the last request."""
        self._users.when_none = end
        self._end_if_unused()

    def asked(self, call: Call) -> None:
        """Note that a call asks this version."""
        call.model, call.version = self.card.name, self.card.version

    def asked_to_infer(self, call: Call) -> None:
        """Note that a call asks this version for an inference, to be counted with it."""
        self.asked(call)
        call.statistics = self.statistics

    async def infer(self, images: Images, call: Call) -> Inference:
        """Classify the images [N, C, H, W] of a call before its deadline.

        Raises
        ------
        EngineError
            As `Session.infer`.
        """
        call.rows = len(images)
        self.statistics.handed_over()
        spent, began = Spent(), time.perf_counter()
        try:
            return await self.session.infer(images, call.deadline, spent)
        finally:
            stages = call.timings.stages
            if spent.compute_seconds:
                computed = began + spent.queue_seconds
                stages.append(Stage("queue", began, spent.queue_seconds))
                stages.append(Stage("inference", computed, spent.compute_seconds))
            else:
                stages.append(Stage("queue", began, time.perf_counter() - began))

    @cached_property
    def identity(self) -> ServedIdentity:
        """Name, version and digest, as answers carry them."""
        digest = f"sha256:{self.card.sha256}"
        return ServedIdentity(name=self.card.name, version=self.card.version, digest=digest)

    @cached_property
    def signature(self) -> Signature:
        """What the graph takes and gives, by its card."""
        return _signature(self.card)

    def check_folder(self) -> None:
        """Refuse a folder whose files are not, or no longer, those that were loaded.

        Raises
        ------
        ModelRejectedError
            Saying which file is another.
        """
        if _read_card(self.folder) != self.card:
            raise ModelRejectedError(f"{CARD_FILE} is another than the one that was loaded.")
        _read_graph(self.folder, self.card)
        _read_audit_set(self.folder, self.card)

    def read_graph(self) -> bytes:
        """Read `model.onnx` again, refusing it if it is not the file that was loaded."""
        return _read_graph(self.folder, self.card)

    def audit_set(self) -> AuditSet:
        """Read the bundled audit set, refusing it if it is not the one on the card."""
        return _read_audit_set(self.folder, self.card)

    def sibling(self, data: bytes) -> AuditedGraph:
        """Open another graph on this model's thread; each graph is opened once."""
        digest = hashlib.sha256(data).hexdigest()
        if digest == self.card.sha256:
            return self.session
        if digest not in self._siblings:
            self._siblings[digest] = self.session.sibling(data)
        return self._siblings[digest]

    def _end_if_unused(self) -> None:
        users = self._users
        if users.count == 0 and users.when_none is not None:
            end, users.when_none = users.when_none, None
            end()


def load_version(
    folder: Path,
    selection: Selection,
    threads: int,
    limits: Limits = DEFAULT_LIMITS,
    mode: Mode = "report",
) -> ServedModel:
    """Check one version directory against its card, open its session, and verify the card's claims.

    Raises
    ------
    ModelRejectedError
        If a file is missing, unreadable or not the one on the card, the graph does not open, or,
        where ``mode`` is `enforce`, the card claims what is not so.
    """
    began = time.perf_counter()
    card = _read_card(folder)
    named = (card.name, str(card.version))
    if named != (folder.parent.name, folder.name):
        raise ModelRejectedError(
            f"{CARD_FILE} is that of version {card.version} of '{card.name}', and lies in "
            f"{folder.parent.name}/{folder.name}."
        )
    data = _read_graph(folder, card)
    audit_set = _read_audit_set(folder, card)
    try:
        session = Session(data, _signature(card), selection, threads, limits)
    except GraphError as error:
        raise ModelRejectedError(f"{MODEL_FILE} is refused: {error}.") from error
    runtime = ", ".join(session.placement.providers)
    found = verify(card, data, session.logits, audit_set.images, runtime, mode)
    if mode == "enforce" and found.differences:
        session.close()
        raise ModelRejectedError(" ".join(found.differences))
    model = ServedModel(folder, card, session, found, time.perf_counter() - began)
    session.observe(model.statistics)
    return model


def _signature(card: Card) -> Signature:
    return Signature(card.input.channels, card.input.fit.size, len(card.classes))


def _read_card(folder: Path) -> Card:
    try:
        return load_card(folder / CARD_FILE)
    except ValueError as error:
        raise ModelRejectedError(str(error)) from error


def _read_graph(folder: Path, card: Card) -> bytes:
    try:
        data = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise _unreadable(MODEL_FILE, error) from error
    _check_digest(MODEL_FILE, hashlib.sha256(data).hexdigest(), card.sha256)
    return data


def _read_audit_set(folder: Path, card: Card) -> AuditSet:
    file = folder / AUDIT_FILE
    try:
        _check_digest(AUDIT_FILE, sha256_file(file), card.audit_set.sha256)
        audit_set = load_audit_set(file)
    except OSError as error:
        raise _unreadable(AUDIT_FILE, error) from error
    except ValueError as error:
        raise ModelRejectedError(str(error)) from error
    spec = card.input
    due = (card.audit_set.count, spec.channels, spec.fit.size, spec.fit.size)
    if audit_set.images.shape != due:
        raise ModelRejectedError(
            f"{AUDIT_FILE} holds images of shape {list(audit_set.images.shape)} where the card "
            f"asks for {list(due)}."
        )
    return audit_set


def _check_digest(file: str, found: str, due: str) -> None:
    if found != due:
        raise ModelRejectedError(
            f"{file} has the SHA-256 {found} where the card says {due}: it is another file than "
            "the one that was packaged."
        )


def _unreadable(file: str, error: OSError) -> ModelRejectedError:
    return ModelRejectedError(f"{file} cannot be read: {error.strerror}.")
