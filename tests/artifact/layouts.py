"""OCI image layouts, read and checked without the code that writes them."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_DESCRIPTOR: dict[str, Any] = {
    "type": "object",
    "required": ["mediaType", "digest", "size"],
    "properties": {
        "mediaType": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$",
        },
        "digest": {"type": "string", "pattern": "^sha256:[a-f0-9]{64}$"},
        "size": {"type": "integer", "minimum": 0},
        "annotations": {"$ref": "#/$defs/strings"},
    },
}
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_DEFINITIONS = {"descriptor": _DESCRIPTOR, "strings": _STRINGS}
_REFERENCE = {"$ref": "#/$defs/descriptor"}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
RULES: dict[str, dict[str, Any]] = {
    "layout": {
        "required": ["imageLayoutVersion"],
        "properties": {"imageLayoutVersion": {"const": "1.0.0"}},
    },
    "index": {
        "required": ["schemaVersion", "manifests"],
        "properties": {
            "schemaVersion": {"const": 2},
            "mediaType": {"const": "application/vnd.oci.image.index.v1+json"},
            "manifests": {"type": "array", "items": _REFERENCE},
            "annotations": {"$ref": "#/$defs/strings"},
        },
    },
    "manifest": {
        "required": ["schemaVersion", "config", "layers"],
        "properties": {
            "schemaVersion": {"const": 2},
            "mediaType": {"const": "application/vnd.oci.image.manifest.v1+json"},
            "config": _REFERENCE,
            "layers": {"type": "array", "minItems": 1, "items": _REFERENCE},
            "annotations": {"$ref": "#/$defs/strings"},
        },
    },
    "config": {
        "required": ["architecture", "os", "rootfs"],
        "properties": {
            "architecture": {"type": "string"},
            "os": {"type": "string"},
            "created": _TIME,
            "config": {"type": "object"},
            "rootfs": {
                "type": "object",
                "required": ["type", "diff_ids"],
                "properties": {
                    "type": {"const": "layers"},
                    "diff_ids": {"type": "array", "items": _DESCRIPTOR["properties"]["digest"]},
                },
            },
            "history": {
                "type": "array",
                "items": {"type": "object", "properties": {"created": _TIME}},
            },
        },
    },
}
"""What the schemas of the OCI image specification ask for."""


def checked(rules: str, document: Any) -> Any:
    schema = {"type": "object", "$defs": _DEFINITIONS, **RULES[rules]}
    Draft202012Validator(schema).validate(document)
    return document


def blob(folder: Path, descriptor: dict[str, Any]) -> bytes:
    """Read what a descriptor describes, by its digest, which has to be its own."""
    data = (folder / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
    assert len(data) == descriptor["size"]
    return data


def read_layout(folder: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Read the digest, manifest and config of the one image, after the rules of each file."""
    checked("layout", json.loads((folder / "oci-layout").read_bytes()))
    index = checked("index", json.loads((folder / "index.json").read_bytes()))
    (described,) = index["manifests"]
    assert re.fullmatch(
        r"[A-Za-z0-9]+", described["annotations"]["org.opencontainers.image.ref.name"]
    )
    manifest = checked("manifest", json.loads(blob(folder, described)))
    config = checked("config", json.loads(blob(folder, manifest["config"])))
    assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])
    named = [described, manifest["config"], *manifest["layers"]]
    there = {path.name for path in (folder / "blobs" / "sha256").iterdir()}
    assert there == {each["digest"].removeprefix("sha256:") for each in named}
    return described["digest"], manifest, config


def entries(folder: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Unpack an image: its layers, each what the config says it unpacks to, lowest first."""
    _, manifest, config = read_layout(folder)
    found = {}
    for layer, content in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = gzip.decompress(blob(folder, layer))
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == content
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                found[entry.name] = entry, file.read() if file else b""
    return found
