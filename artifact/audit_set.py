"""The images that an audit is measured on, and the file they travel in."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from artifact.files import MOST_AUDIT_SET
from imaging.arrays import ArraysError, read_npz
from imaging.files import FileRefusedError, read_file
from imaging.refusal import RefusedError
from imaging.writing import temporary_file

_IN_MEMORY: Final = 2**26
_PIECE: Final = 2**20


@dataclass(frozen=True, eq=False)
class AuditSet:
    """Images that already have a model's input size, with their labels where these are known.

    Attributes
    ----------
    images : uint8 [N, C, H, W]
    labels : int64 [N], or None
    groups : int64 [N], or None
        What each image was taken of, a part or a patient: images with equal numbers count once.
    files
        What each image was read from, where that is known. An npz file does not say.

    Raises
    ------
    ValueError
        If an array has another type or shape, or there are no images.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    groups: NDArray[np.int64] | None = None
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or not self.images.size:
            raise RefusedError(
                f"The images are {self.images.dtype} of shape {self.images.shape}; "
                "uint8 [N, C, H, W] with at least one image is accepted."
            )
        for name, given in (("labels", self.labels), ("groups", self.groups)):
            if given is not None and (
                given.dtype != np.int64 or given.shape != self.images.shape[:1]
            ):
                raise RefusedError(
                    f"The {name} are {given.dtype} of shape {given.shape}; "
                    f"int64 [N] for N = {len(self.images)} images is accepted."
                )
        if self.files and len(self.files) != len(self.images):
            raise RefusedError(
                f"There are {len(self.files)} names for {len(self.images)} images; one for each, "
                "or none, is accepted."
            )

    def spread(self, most: int | None) -> "AuditSet":
        """So many images at most, from all over the set."""
        count = len(self.images)
        if most is None or count <= most:
            return self
        some = np.arange(most) * count // most
        return AuditSet(
            self.images[some],
            None if self.labels is None else self.labels[some],
            None if self.groups is None else self.groups[some],
            tuple(self.files[i] for i in some) if self.files else (),
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
        with temporary_file() if self.images.nbytes > _IN_MEMORY else io.BytesIO() as file:
            self._write_to(file)
            file.seek(0)
            digest = hashlib.sha256()
            while piece := file.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def _write_to(self, file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _write(archive, "images", self.images)
            if self.labels is not None:
                _write(archive, "labels", self.labels.astype("<i8"))
            if self.groups is not None:
                _write(archive, "groups", self.groups.astype("<i8"))

    def image_sha256(self) -> tuple[str, ...]:
        """The digest of each image, uint8 [C, H, W], as the file that `numpy.save` writes of it."""
        file = io.BytesIO()
        images = np.ascontiguousarray(self.images)
        np.lib.format.write_array(file, images[0], version=(1, 0))
        # The same for all images: what stands before the pixels.
        header = file.getvalue()[: -images[0].nbytes]
        return tuple(hashlib.sha256(header + image.tobytes()).hexdigest() for image in images)


def save_audit_set(path: Path, audit_set: AuditSet) -> None:
    """Write the set as an npz file: `images` and, where known, `labels` and `groups`."""
    path.write_bytes(audit_set.to_bytes())


def load_audit_set(path: Path) -> AuditSet:
    """Read an npz file: `images`, uint8 [N, C, H, W], `labels` and `groups`, integers [N].

    Raises
    ------
    ValueError
        If the file is missing, no regular one or too large, or is not such a set.
    """
    try:
        data = read_file(path, MOST_AUDIT_SET)
    except FileRefusedError as error:
        raise RefusedError(f"{path} is not an audit set: it {error}.") from error
    return parse_audit_set(data, path)


def parse_audit_set(data: bytes, path: Path) -> AuditSet:
    """Read an audit set from the bytes of a file; the path is for the ValueError if it is none."""
    try:
        arrays = read_npz(io.BytesIO(data), MOST_AUDIT_SET, ("images", "labels", "groups"))
        if "images" not in arrays:
            raise ArraysError("it has no 'images'")
        labels, groups = (
            arrays[name].astype(np.int64, casting="safe") if name in arrays else None
            for name in ("labels", "groups")
        )
        return AuditSet(arrays["images"], labels, groups)
    except (RefusedError, TypeError) as error:
        raise RefusedError(
            f"{path} is not an audit set ({str(error).rstrip('.')}); an npz file with 'images', "
            "uint8 [N, C, H, W], and optionally 'labels' and 'groups', integers [N], is accepted."
        ) from error


def _write(archive: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    # A fresh ZipInfo is dated 1980; its system would be that of the writer.
    info = zipfile.ZipInfo(f"{name}.npy")
    info.create_system = 3
    with archive.open(info, "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0))
