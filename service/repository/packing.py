"""A version as an image: where its files lie in it, and what is written of it on the outside."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from artifact.card import Card, parse_card
from artifact.files import MOST_AUDIT_SET, MOST_CARD, MOST_GRAPH
from artifact.layout import AUDIT_FILE, CARD_FILE, MODEL_FILE, SIGNATURE_FILE
from artifact.oci_base import BaseImage
from artifact.oci_image import write_image
from imaging.files import MEBIBYTE, FileRefusedError, read_file
from service.repository.folder import ModelRejectedError

_ROOT: Final = PurePosixPath("models")
"""Where KServe looks for models in an image."""

_MOST: Final = {
    MODEL_FILE: MOST_GRAPH,
    CARD_FILE: MOST_CARD,
    AUDIT_FILE: MOST_AUDIT_SET,
    SIGNATURE_FILE: MEBIBYTE,
}


def read_packed(folder: Path, digests: Mapping[str, str]) -> dict[str, bytes]:
    """Read a version's files, with its signature if there is one.

    Parameters
    ----------
    digests
        SHA-256 of those that were checked.

    Raises
    ------
    ModelRejectedError
        If one cannot be read, or is another than was checked.
    """
    names = [*digests, *([SIGNATURE_FILE] if os.path.lexists(folder / SIGNATURE_FILE) else [])]
    files = {}
    for name in names:
        try:
            files[name] = read_file(folder / name, _MOST[name])
        except FileRefusedError as error:
            raise ModelRejectedError(f"{name} {error}.") from error
        if digests.get(name, found := _digest(files[name])) != found:
            raise ModelRejectedError(f"{name} changed while it was read; try again.")
    return files


def write_packed(output: Path, files: Mapping[str, bytes], base: BaseImage | None) -> str:
    """Write a version's files as an image; return its digest."""
    card = parse_card(files[CARD_FILE], Path(CARD_FILE))
    folder = _ROOT / card.name / str(card.version)
    placed = {folder / name: data for name, data in files.items()}
    return write_image(output, placed, _annotations(card, files), str(card.version), base)


def _annotations(card: Card, files: Mapping[str, bytes]) -> dict[str, str]:
    said = {
        "org.opencontainers.image.title": card.name,
        "org.opencontainers.image.version": str(card.version),
        "org.opencontainers.image.description": card.description,
        "orbitserve.model": f"sha256:{card.sha256}",
        "orbitserve.card": f"sha256:{_digest(files[CARD_FILE])}",
        "orbitserve.audit-set": f"sha256:{card.audit_set.sha256}",
        "orbitserve.audit-set.licence": card.audit_set.licence,
        "orbitserve.group": card.group,
        "orbitserve.precision": card.precision,
        "orbitserve.proof": "none",
    }
    if card.proof is not None:
        said["orbitserve.proof"] = f"{card.proof.outcome} over {card.proof.subgroup}"
        said["orbitserve.proof.exact-bits"] = "true" if card.proof.exact_bits else "false"
    if (signature := files.get(SIGNATURE_FILE)) is not None:
        said["orbitserve.signature"] = signature.decode("utf-8", "replace").strip()
    return said


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
