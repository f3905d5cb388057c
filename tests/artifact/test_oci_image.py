"""Images of files: valid, equal for equal files, and with exactly these files in them."""

import gzip
import hashlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact.oci_base import BaseImage
from artifact.oci_image import StoredGzip, check_output, write_image
from imaging.refusal import RefusedError
from tests.artifact.layouts import entries, read_layout

FILES = {
    PurePosixPath("models/b/2/model.onnx"): bytes(range(256)) * 1000,
    PurePosixPath("models/b/2/card.json"): b"{}",
    PurePosixPath("models", "a" * 120, "empty"): b"",
}


def pack(folder: Path, files=FILES, base=None) -> str:
    return write_image(folder, files, {"title": "é"}, "2", base)


def tree(folder: Path) -> dict[Path, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def largest(base: Path) -> Path:
    """The layer."""
    return max((base / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)


def edit(base: Path, **changes: str) -> None:
    index = json.loads((base / "index.json").read_bytes())
    index["manifests"][0].update(changes)
    (base / "index.json").write_text(json.dumps(index))


def stored(base: Path, document: object) -> dict[str, object]:
    """Store a document as one of the layout's files; return what describes it."""
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    (base / "blobs" / "sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def nest(base: Path, depth: int) -> None:
    """Have lists in each other in the config, so many that they can be read and hardly written."""
    nested: list[object] = []
    for _ in range(depth):
        nested = [nested]
    rewrite(base, lambda _, config: config.update(more=nested))


def resize(manifest: dict) -> None:
    manifest["layers"][0]["size"] += 1


def rewrite(base: Path, change: Callable[[dict, dict], None]) -> None:
    """Change manifest and config, and have every digest fit."""
    _, manifest, config = read_layout(base)
    change(manifest, config)
    manifest["config"].update(stored(base, config))
    edit(base, **stored(base, manifest))


def touch_manifest(base: Path) -> None:
    digest = json.loads((base / "index.json").read_bytes())["manifests"][0]["digest"]
    file = base / "blobs" / "sha256" / digest.removeprefix("sha256:")
    file.write_bytes(file.read_bytes() + b" ")


def foreign(manifest: dict, _: dict) -> None:
    manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_an_image_is_valid_and_holds_these_files_alone(tmp_path: Path) -> None:
    digest = pack(tmp_path / "deep" / "image")
    assert read_layout(tmp_path / "deep" / "image")[0] == digest
    found = entries(tmp_path / "deep" / "image")
    assert {n: data for n, (entry, data) in found.items() if entry.isfile()} == {
        str(path): data for path, data in FILES.items()
    }
    folders = [name for name, (entry, _) in found.items() if entry.isdir()]
    assert folders == ["models", f"models/{'a' * 120}", "models/b", "models/b/2"]
    for entry, _ in found.values():
        assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
        assert entry.mode == (0o755 if entry.isdir() else 0o644)


def test_equal_files_make_equal_images(tmp_path: Path, monkeypatch) -> None:
    first = pack(tmp_path / "first")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    backwards = dict(reversed(FILES.items()))
    assert pack(tmp_path / "second", backwards) == first
    assert tree(tmp_path / "second") == tree(tmp_path / "first")
    other = {**FILES, PurePosixPath("models/b/2/card.json"): b"[]"}
    assert pack(tmp_path / "third", other) != first


@given(
    st.lists(st.binary(max_size=200), max_size=5), st.sampled_from([0, 1, 65_534, 65_535, 65_536])
)
def test_a_stored_gzip_unpacks_to_what_was_written_however_it_was_cut(pieces, more) -> None:
    def zipped(writes):
        file = io.BytesIO()
        writer = StoredGzip(file)
        for each in writes:
            writer.write(each)
        writer.close()
        return file.getvalue()

    pieces = [*pieces, bytes(more)]
    data = b"".join(pieces)
    assert gzip.decompress(zipped(pieces)) == data
    assert zipped(pieces) == zipped([data])


def test_a_base_lies_below(tmp_path: Path) -> None:
    below = {PurePosixPath("bin/sh"): b"#!", PurePosixPath("models/old"): b"old"}
    pack(tmp_path / "base", below)
    base = BaseImage.read(tmp_path / "base")
    assert pack(tmp_path / "over", base=base) != pack(tmp_path / "alone")
    found = entries(tmp_path / "over")
    assert found["bin/sh"][1] == b"#!"
    assert {"models/old", *map(str, FILES)} < set(found)


@pytest.mark.parametrize(
    ("breaking", "reason"),
    [
        (lambda base: shutil.rmtree(base), "no file oci-layout"),
        (lambda base: (base / "index.json").write_bytes(b"{"), "Expecting"),
        (lambda base: (base / "index.json").write_bytes(b"[]"), "it is no JSON object"),
        (lambda base: (base / "index.json").write_bytes(b"[" * 100_000), "nested too deeply"),
        (lambda base: nest(base, 900), "nested too deeply"),
        (lambda base: rewrite(base, lambda _, config: config.update(history=5)), "list is due"),
        (lambda base: rewrite(base, lambda _, config: config.update(user=math.nan)), "has NaN"),
        (lambda base: rewrite(base, lambda manifest, _: resize(manifest)), "size than it says"),
        (lambda base: (base / "index.json").write_bytes(b'{"manifests": []}'), "a single image"),
        (lambda base: (base / "index.json").unlink(), "No such file"),
        (lambda base: shutil.rmtree(base / "blobs"), "No such file"),
        (lambda base: edit(base, digest="sha256:../../../../etc/passwd"), "is no digest"),
        (lambda base: edit(base, mediaType="application/vnd.oci.image.index.v1+json"), "a single"),
        (lambda base: largest(base).write_bytes(b"another"), "another digest than it says"),
        (lambda base: largest(base).unlink(), "No such file"),
        (lambda base: instead(largest(base)), "is a FIFO"),
        (touch_manifest, "another digest than it says"),
        (lambda base: rewrite(base, foreign), "a layer of it is application/vnd.docker"),
        (
            lambda base: rewrite(base, lambda _, config: config["rootfs"]["diff_ids"].clear()),
            "counts other layers",
        ),
    ],
)
def test_a_base_that_is_broken_is_a_sentence_and_leaves_nothing(tmp_path, breaking, reason) -> None:
    base = tmp_path / "base"
    pack(base)
    breaking(base)
    with pytest.raises(RefusedError, match=reason) as refused:
        pack(tmp_path / "over", base=BaseImage.read(base))
    assert "podman push IMAGE oci:FOLDER" in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"base"}


def test_only_a_new_or_an_empty_folder_becomes_an_image(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "it").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("full", "full/it", "link", "dangling"):
        with pytest.raises(RefusedError, match="a new or an empty one is accepted"):
            check_output(tmp_path / name)
    for name in ("empty", "new/deep"):
        check_output(tmp_path / name)
        pack(tmp_path / name)


def test_of_an_image_that_is_interrupted_nothing_is_left(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(StoredGzip, "close", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path / "image")
    assert not list(tmp_path.iterdir())
