"""An image that lies below another, read from an OCI image layout of which nothing is known."""

import hashlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from artifact.json_document import Document, read_json
from imaging.files import MEBIBYTE, FileRefusedError, open_file, read_file
from imaging.refusal import RefusedError

LAYOUT: Final = "oci-layout"
BLOBS: Final = PurePosixPath("blobs", "sha256")
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"

_MOST_JSON: Final = 4 * MEBIBYTE
"""Bytes of a manifest, as registries accept them."""

_DEEPEST: Final = 64
"""Values within each other in one of these; a config has some ten."""

_MOST_LAYER: Final = 2**40
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_LAYER_TYPE: Final = "application/vnd.oci.image.layer."


@dataclass(frozen=True)
class BaseImage:
    """An image's config, and the descriptors of its layers, lowest first."""

    folder: Path
    config: Document
    layers: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, folder: Path) -> "BaseImage":
        """Read the one image of a layout.

        Raises
        ------
        RefusedError
            If there is no layout, or it holds no single image of the OCI's own formats.
        """
        try:
            return cls._read(folder)
        except FileRefusedError as error:
            raise _refused(folder, f"a file of it {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _refused(folder, str(error) or type(error).__name__) from error

    @classmethod
    def _read(cls, folder: Path) -> "BaseImage":
        if not (folder / LAYOUT).is_file():
            raise ValueError(f"it has no file {LAYOUT}")
        manifests = _read_document(folder / "index.json")[0]["manifests"]
        if len(manifests) != 1 or manifests[0]["mediaType"] != MANIFEST_TYPE:
            raise ValueError("it does not hold a single image of one platform")
        manifest = _document(folder, manifests[0])
        config, layers = _document(folder, manifest["config"]), tuple(_list(manifest["layers"]))
        for layer in layers:
            _blob(folder, layer)
            if not layer["mediaType"].startswith(_LAYER_TYPE):
                raise ValueError(f"a layer of it is {layer['mediaType']}")
        if len(_list(config["rootfs"]["diff_ids"])) != len(layers):
            raise ValueError("its config counts other layers than its manifest")
        _list(config.get("history", []))
        return cls(folder, config, layers)

    def copy_layers(self, blobs: Path) -> None:
        """Copy the layers among these blobs; RefusedError where one is not what its digest says."""
        for layer in self.layers:
            source = _blob(self.folder, layer)
            target = blobs / source.name
            try:
                with open_file(source, _MOST_LAYER) as read, target.open("wb") as written:
                    shutil.copyfileobj(read, written)
                with target.open("rb") as copied:
                    found = hashlib.file_digest(copied, "sha256").hexdigest()
            except FileRefusedError as error:
                raise _refused(self.folder, f"its layer {error}") from error
            if found != source.name:
                raise _refused(self.folder, "a layer of it has another digest than it says")
            if target.stat().st_size != layer.get("size"):
                raise _refused(self.folder, "a layer of it has another size than it says")


def _document(folder: Path, descriptor: dict[str, Any]) -> Document:
    file = _blob(folder, descriptor)
    document, data = _read_document(file)
    if hashlib.sha256(data).hexdigest() != file.name:
        raise ValueError("a file of it has another digest than it says")
    return document


def _read_document(file: Path) -> tuple[Document, bytes]:
    """Read JSON that can be written again; return it with the bytes that it was."""
    data = read_file(file, _MOST_JSON)
    document = read_json(data)
    inside: list[Any] = [document]
    for _ in range(_DEEPEST):
        inside = [part for each in inside for part in _parts(each)]
    if inside:
        raise ValueError("a file of it is nested too deeply")
    return document, data


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} stands where a list is due")
    return value


def _blob(folder: Path, descriptor: dict[str, Any]) -> Path:
    digest = _DIGEST.fullmatch(descriptor["digest"])
    if digest is None:
        raise ValueError(f"{descriptor['digest']!r} is no digest that is read")
    return folder / BLOBS / digest[1]


def _refused(folder: Path, reason: str) -> RefusedError:
    return RefusedError(
        f"The base {folder} is no OCI image layout that is read ({reason}); one is made by "
        "`podman push IMAGE oci:FOLDER`."
    )
