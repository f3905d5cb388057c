"""One version of a model: its directory checked against its card, and its session opened."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from audit import AuditSet, Card, load_audit_set, load_card, sha256_file
from service.engine import GraphError, Selection, Session, Signature
from service.protocol import ServedIdentity
from service.verification import Mode, Verification, verify

MODEL_FILE, CARD_FILE, AUDIT_FILE = "model.onnx", "card.json", "audit.npz"


class ModelRejectedError(Exception):
    """A version directory is not what its card says; the message is one sentence."""


@dataclass(frozen=True)
class ServedModel:
    """A version that is loaded: its card, its session and the folder that both came from."""

    folder: Path
    card: Card
    session: Session
    verification: Verification
    _siblings: dict[str, Session] = field(default_factory=dict)

    @property
    def identity(self) -> ServedIdentity:
        """Name, version and digest, as answers carry them."""
        digest = f"sha256:{self.card.sha256}"
        return ServedIdentity(name=self.card.name, version=self.card.version, digest=digest)

    def read_graph(self) -> bytes:
        """Read `model.onnx` again, refusing it if it is not the file that was loaded."""
        return _read_graph(self.folder, self.card)

    def audit_set(self) -> AuditSet:
        """Read the bundled audit set, refusing it if it is not the one on the card."""
        return _read_audit_set(self.folder, self.card)

    def sibling(self, data: bytes) -> Session:
        """Open another graph on this model's thread; each graph is opened once."""
        digest = hashlib.sha256(data).hexdigest()
        if digest == self.card.sha256:
            return self.session
        if digest not in self._siblings:
            self._siblings[digest] = self.session.sibling(data)
        return self._siblings[digest]


def load_version(
    folder: Path, selection: Selection, threads: int, mode: Mode = "report"
) -> ServedModel:
    """Check one version directory against its card, open its session, and verify the card's claims.

    Raises
    ------
    ModelRejectedError
        If a file is missing, unreadable or not the one on the card, the graph does not open, or,
        where ``mode`` is `enforce`, the card claims what is not so.
    """
    try:
        card = load_card(folder / CARD_FILE)
    except ValueError as error:
        raise ModelRejectedError(str(error)) from error
    named = (card.name, str(card.version))
    if named != (folder.parent.name, folder.name):
        raise ModelRejectedError(
            f"{CARD_FILE} is that of version {card.version} of '{card.name}', and lies in "
            f"{folder.parent.name}/{folder.name}."
        )
    data = _read_graph(folder, card)
    audit_set = _read_audit_set(folder, card)
    signature = Signature(card.input.channels, card.input.fit.size, len(card.classes))
    try:
        session = Session(data, signature, selection, threads)
    except GraphError as error:
        raise ModelRejectedError(f"{MODEL_FILE} is refused: {error}.") from error
    runtime = ", ".join(session.placement.providers)
    found = verify(card, data, session.logits, audit_set.images, runtime, mode)
    if mode == "enforce" and found.differences:
        session.close()
        raise ModelRejectedError(" ".join(found.differences))
    return ServedModel(folder, card, session, found)


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
