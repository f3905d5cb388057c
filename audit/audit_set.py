"""The images that an audit is measured on, and the file they travel in."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError

_IN_MEMORY: Final = 2**26


@dataclass(frozen=True, eq=False)
class AuditSet:
    """Images that already have a model's input size, with their labels where these are known.

    Attributes
    ----------
    images : uint8 [N, C, H, W]
    labels : int64 [N], or None

    Raises
    ------
    ValueError
        If an array has another type or shape, or there are no images.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or not self.images.size:
            raise RefusedError(
                f"The images are {self.images.dtype} of shape {self.images.shape}; "
                "uint8 [N, C, H, W] with at least one image is accepted."
            )
        labels = self.labels
        if labels is not None and (
            labels.dtype != np.int64 or labels.shape != self.images.shape[:1]
        ):
            raise RefusedError(
                f"The labels are {labels.dtype} of shape {labels.shape}; "
                f"int64 [N] for N = {len(self.images)} images is accepted."
            )

    def to_bytes(self) -> bytes:
        """The set as an npz file; equal sets give equal bytes, on every machine.

        Nothing is compressed, since compressed bytes differ from one zlib to the next.
        """
        file = io.BytesIO()
        self._write_to(file)
        return file.getvalue()

    def sha256(self) -> str:
        """The digest of `to_bytes`, and so of the file that `save_audit_set` writes."""
        # A large set goes through a file: it may itself be mapped from one, and exceed memory.
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            self._write_to(file)
            file.seek(0)
            digest = hashlib.sha256()
            while piece := file.read(2**20):
                digest.update(piece)
        return digest.hexdigest()

    def _write_to(self, file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _write(archive, "images", self.images)
            if self.labels is not None:
                _write(archive, "labels", self.labels.astype("<i8"))

    def image_sha256(self) -> tuple[str, ...]:
        """The digest of each image, uint8 [C, H, W], as the file that `numpy.save` writes of it."""
        file = io.BytesIO()
        images = np.ascontiguousarray(self.images)
        np.lib.format.write_array(file, images[0], version=(1, 0))
        # The same for all images: what stands before the pixels.
        header = file.getvalue()[: -images[0].nbytes]
        return tuple(hashlib.sha256(header + image.tobytes()).hexdigest() for image in images)


def save_audit_set(path: Path, audit_set: AuditSet) -> None:
    """Write the set as an npz file with the arrays `images` and, where known, `labels`."""
    path.write_bytes(audit_set.to_bytes())


def load_audit_set(path: Path) -> AuditSet:
    """Read an npz file with the arrays `images`, uint8 [N, C, H, W], and `labels`, integers [N].

    Raises
    ------
    ValueError
        If the file is missing or is not such a set.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            images = archive["images"]
            labels = (
                archive["labels"].astype(np.int64, casting="safe") if "labels" in archive else None
            )
        return AuditSet(images, labels)
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise RefusedError(
            f"{path} is not an audit set ({error}); an npz file with 'images', uint8 [N, C, H, W], "
            "and optionally 'labels', integers [N], is accepted."
        ) from error


def _write(archive: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    # A fresh ZipInfo is dated 1980; its system would be that of the writer.
    info = zipfile.ZipInfo(f"{name}.npy")
    info.create_system = 3
    with archive.open(info, "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0))
