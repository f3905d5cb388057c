"""How versions of models lie in a repository: `<repository>/<name>/<version>/` and their files.

Triton reads the same layout.
"""

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from imaging.refusal import RefusedError
from imaging.writing import written_folder

MODEL_FILE: Final = "model.onnx"
CARD_FILE: Final = "card.json"
AUDIT_FILE: Final = "audit.npz"
SIGNATURE_FILE: Final = "model.sig"
"""Signs the digests of the other three."""

VERSION_FILES: Final = (MODEL_FILE, CARD_FILE, AUDIT_FILE, SIGNATURE_FILE)
"""All that a version's folder may hold; only the signature may be missing."""

CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that no model's name has: whoever reads paths or lines by them would be misled."""

_VERSION: Final = re.compile(r"[1-9][0-9]{0,14}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")

_LONGEST_NAME: Final = 200
"""A folder's name has 255 bytes at most, and a precision may be added."""


def check_name(name: str) -> None:
    """Refuse what no new model may be called.

    Raises
    ------
    RefusedError
        Saying what is accepted.
    """
    if not _NAME.fullmatch(name[: _LONGEST_NAME + 1]):
        raise RefusedError(
            f"{name[:_LONGEST_NAME]!r} names no model; accepted are small letters, digits, '.', "
            "'_' and '-'."
        )
    if len(name) > _LONGEST_NAME:
        raise RefusedError(
            f"A name of {len(name)} characters is no model's; at most {_LONGEST_NAME} are accepted."
        )


def read_version(text: str) -> int | None:
    """Read a version as folders and paths have it, without leading zeros; None if it is none."""
    return int(text) if _VERSION.fullmatch(text) else None


def version_folders(model: Path) -> list[Path]:
    """Return the folders of a model's versions, ascending; raise OSError if it cannot be read.

    A version under construction has a name that is no number until it is renamed as a whole.
    """
    entries = model.iterdir() if model.is_dir() else ()
    versions = [entry for entry in entries if read_version(entry.name) and entry.is_dir()]
    return sorted(versions, key=lambda folder: int(folder.name))


def next_version(model: Path) -> int:
    """The number of a model's next version: one more than the largest that is a name there, or 1.

    What is no folder counts as well, as nothing can be put in its place.

    Raises
    ------
    RefusedError
        If that one is the greatest there is.
    """
    entries = model.iterdir() if model.is_dir() else ()
    version = max((read_version(entry.name) or 0 for entry in entries), default=0) + 1
    if read_version(str(version)) is None:
        raise RefusedError(
            f"{model.name} has a version {version - 1}, after which there is no number; "
            "without it there is one again."
        )
    return version


def written_version(model: Path, version: int) -> AbstractContextManager[Path]:
    """Make a folder for a version's files, as `written_folder` does.

    It is a version by being renamed, whole, once the block has ended.
    """
    return written_folder(model / str(version))
