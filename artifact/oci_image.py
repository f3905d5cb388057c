"""Files as an OCI image: a layout's folder whose digests depend on nothing but what is in it.

The formats are those of the OCI image specification 1.1: image-layout.md, manifest.md, layer.md.
"""

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from artifact.oci_base import BLOBS, CONFIG_TYPE, LAYOUT, MANIFEST_TYPE, BaseImage
from imaging.refusal import RefusedError
from imaging.writing import written_folder

LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
REFERENCE: Final = "org.opencontainers.image.ref.name"

_BEGINNING: Final = "1970-01-01T00:00:00Z"
"""Some readers of images want a date of creation, and equal files make equal images."""

_ANY_MACHINE: Final = {"architecture": "amd64", "os": "linux"}
"""Files run nowhere, and a config has to name something."""

_BLOCK: Final = 0xFFFF
"""Bytes that a stored block of deflate holds at most (RFC 1951, 3.2.4)."""


def check_output(folder: Path) -> None:
    """Refuse a folder that no layout can become.

    Raises
    ------
    RefusedError
        If there is something that is no empty folder, or one that none can be put in the place of.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RefusedError(f"{folder} is no folder; a new or an empty one is accepted.")
    if folder.is_dir() and any(folder.iterdir()):
        raise RefusedError(f"The folder {folder} is not empty; a new or an empty one is accepted.")
    if folder.is_dir() and (folder.is_mount() or folder.samefile(Path())):
        raise RefusedError(
            f"The folder {folder} cannot be replaced, as a disk is mounted there or it is where "
            "this is called; a new one in it is accepted."
        )


def write_image(
    output: Path,
    files: Mapping[PurePosixPath, bytes],
    annotations: Mapping[str, str],
    reference: str,
    base: BaseImage | None = None,
) -> str:
    """Write an image of these files as an OCI image layout, whole or not at all.

    Parameters
    ----------
    output
        Its folder, which `check_output` accepts.
    files
        By their paths in the image, relative to its root.
    annotations
        Of the manifest.
    reference
        The name of the image within the layout, such as a version.
    base
        What lies below the files; nothing if there is none.

    Returns
    -------
    str
        The digest of the manifest, by which registries know the image.

    Raises
    ------
    RefusedError
        If the base is broken.
    """
    with written_folder(output) as aside:
        blobs = aside / BLOBS
        blobs.mkdir(parents=True)
        if base is not None:
            base.copy_layers(blobs)
        layer, unpacked = _write_layer(blobs, files)
        config = _config(base, unpacked)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _write_json(blobs, CONFIG_TYPE, config),
            "layers": [*(base.layers if base else ()), layer],
            "annotations": dict(annotations),
        }
        described = _write_json(blobs, MANIFEST_TYPE, manifest)
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [{**described, "annotations": {REFERENCE: reference}}],
        }
        (aside / LAYOUT).write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        (aside / "index.json").write_bytes(_json(index))
    return str(described["digest"])


def _config(base: BaseImage | None, layer: str) -> dict[str, Any]:
    below: dict[str, Any] = (
        base.config if base else {**_ANY_MACHINE, "created": _BEGINNING, "config": {}}
    )
    layers = [*(below["rootfs"]["diff_ids"] if base else ()), layer]
    history = [*below.get("history", ()), {"created": _BEGINNING, "created_by": "orbitserve pack"}]
    return {**below, "rootfs": {"type": "layers", "diff_ids": layers}, "history": history}


def _write_layer(blobs: Path, files: Mapping[PurePosixPath, bytes]) -> tuple[dict[str, Any], str]:
    """Write a layer; return its descriptor, and the digest of what it unpacks to."""
    aside = blobs / ".layer"
    with aside.open("wb") as file:
        layer = StoredGzip(file)
        with tarfile.open(
            fileobj=cast(BinaryIO, layer), mode="w|", format=tarfile.PAX_FORMAT
        ) as archive:
            for folder in _folders(files):
                entry = _entry(folder, 0o755)
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            for path in sorted(files):
                entry = _entry(path, 0o644)
                entry.size = len(files[path])
                archive.addfile(entry, io.BytesIO(files[path]))
        layer.close()
        size = file.tell()
    aside.rename(blobs / layer.digest)
    return _descriptor(LAYER_TYPE, layer.digest, size), f"sha256:{layer.content_digest}"


def _folders(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """All folders above these paths but the root, each before those that it holds."""
    return sorted({folder for path in paths for folder in path.parents} - {PurePosixPath(".")})


def _entry(path: PurePosixPath, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(path))  # of user 0 and the time 0
    entry.mode = mode
    return entry


class StoredGzip:
    """A gzip file that compresses nothing, so that its bytes hang on no version of a compressor.

    Weights hardly get smaller. What copies a plain tar to a registry may compress it, whereby the
    image gets another digest; it leaves gzip alone.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._held = file, bytearray()
        self._written, self._content = hashlib.sha256(), hashlib.sha256()
        self._checksum = self._size = 0
        self._put(b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff")  # neither name nor time

    def write(self, data: bytes) -> int:
        """Write what it unpacks to."""
        self._content.update(data)
        self._checksum, self._size = zlib.crc32(data, self._checksum), self._size + len(data)
        self._held += data
        while len(self._held) >= _BLOCK:
            self._block(self._held[:_BLOCK], last=False)
            del self._held[:_BLOCK]
        return len(data)

    def close(self) -> None:
        """Write what is left; the file stays open."""
        self._block(self._held, last=True)
        self._put(struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF))

    @property
    def digest(self) -> str:
        """SHA-256 of what was written."""
        return self._written.hexdigest()

    @property
    def content_digest(self) -> str:
        """SHA-256 of what it unpacks to."""
        return self._content.hexdigest()

    def _block(self, data: bytes | bytearray, *, last: bool) -> None:
        self._put(struct.pack("<BHH", last, len(data), len(data) ^ _BLOCK) + data)

    def _put(self, data: bytes) -> None:
        self._written.update(data)
        self._file.write(data)


def _write_json(blobs: Path, media_type: str, document: Mapping[str, Any]) -> dict[str, Any]:
    data = _json(document)
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return _descriptor(media_type, digest, len(data))


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
