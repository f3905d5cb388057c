"""A version's folder: its three files, each checked before it is used."""

import hashlib
import os
from pathlib import Path

from artifact.audit_set import AuditSet, parse_audit_set
from artifact.card import Card, parse_card
from artifact.files import MOST_AUDIT_SET, MOST_CARD, MOST_GRAPH
from artifact.layout import AUDIT_FILE, CARD_FILE, MODEL_FILE
from artifact.onnx_file import check_operators, read_onnx, refuse_other_formats
from imaging.files import FileRefusedError, read_file
from imaging.refusal import RefusedError


class ModelRejectedError(Exception):
    """A version directory is not what its card says; the message is one sentence."""


def check_files(folder: Path) -> dict[str, str]:
    """Check the files of a version directory as `load_version` does, and return their SHA-256.

    Raises
    ------
    ModelRejectedError
        If a file is missing, unreadable, not the one on the card, or no graph that is accepted.
    """
    card, digests = read_card(folder)
    check_graph(read_graph(folder, card))
    read_audit_set(folder, card)
    return digests


def read_card(folder: Path) -> tuple[Card, dict[str, str]]:
    """Return the card, with the SHA-256 that it has and those that it says the files have."""
    if not os.path.lexists(folder / CARD_FILE) and (folder / MODEL_FILE).exists():
        raise ModelRejectedError(
            f"{MODEL_FILE} has no {CARD_FILE} beside it; `orbitserve import` makes a version, card "
            "included, of an ONNX file from elsewhere."
        )
    data = _read(folder, CARD_FILE, MOST_CARD)
    try:
        card = parse_card(data, folder / CARD_FILE)
    except RefusedError as error:
        raise ModelRejectedError(str(error)) from error
    named = (card.name, str(card.version))
    if named != (folder.parent.name, folder.name):
        raise ModelRejectedError(
            f"{CARD_FILE} is that of version {card.version} of '{card.name}', and lies in "
            f"{folder.parent.name}/{folder.name}."
        )
    digest = hashlib.sha256(data).hexdigest()
    return card, {CARD_FILE: digest, MODEL_FILE: card.sha256, AUDIT_FILE: card.audit_set.sha256}


def check_graph(data: bytes) -> None:
    """Refuse a file that onnxruntime should not see."""
    try:
        check_operators(read_onnx(data))
    except RefusedError as error:
        raise ModelRejectedError(f"{MODEL_FILE} is refused: {error}") from error


def read_graph(folder: Path, card: Card) -> bytes:
    """Read `model.onnx`, which has to be the one on the card."""
    data = _read(folder, MODEL_FILE, MOST_GRAPH)
    try:
        refuse_other_formats(data)  # which says more than that the digest is another
    except RefusedError as error:
        raise ModelRejectedError(f"{MODEL_FILE} is refused: {error}") from error
    _check_digest(MODEL_FILE, hashlib.sha256(data).hexdigest(), card.sha256)
    return data


def read_audit_set(folder: Path, card: Card) -> AuditSet:
    """Read the bundled audit set, which has to be the one on the card."""
    data = _read(folder, AUDIT_FILE, MOST_AUDIT_SET)
    _check_digest(AUDIT_FILE, hashlib.sha256(data).hexdigest(), card.audit_set.sha256)
    try:
        audit_set = parse_audit_set(data, folder / AUDIT_FILE)
    except RefusedError as error:
        raise ModelRejectedError(str(error)) from error
    spec = card.input
    due = (card.audit_set.count, *spec.shape)
    if audit_set.images.shape != due:
        raise ModelRejectedError(
            f"{AUDIT_FILE} holds images of shape {list(audit_set.images.shape)} where the card "
            f"asks for {list(due)}."
        )
    return audit_set


def check_audit_file(folder: Path) -> None:
    """Refuse an `audit.npz` that is not the one on the card; one that is has been read before."""
    card, _ = read_card(folder)
    found = hashlib.sha256(_read(folder, AUDIT_FILE, MOST_AUDIT_SET)).hexdigest()
    _check_digest(AUDIT_FILE, found, card.audit_set.sha256)


def _check_digest(file: str, found: str, due: str) -> None:
    if found != due:
        raise ModelRejectedError(
            f"{file} has the SHA-256 {found} where the card says {due}: it is another file than "
            "the one that was packaged."
        )


def _read(folder: Path, name: str, most: int) -> bytes:
    try:
        return read_file(folder / name, most)
    except FileRefusedError as error:
        raise ModelRejectedError(f"{name} {error}.") from error
