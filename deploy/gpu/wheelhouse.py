"""Gathers the wheels that a machine without a network needs to run this project and its GPU tests.

pip resolves for the other machine's Python and C library. What that machine has already (HAVE, the
output of its `pip list --format=freeze`) is not carried where its version will do. With a part
size, folders part1, part2, ... hold at most so much each, and a larger wheel is cut into pieces
that `install.py` joins again.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TESTS = ("httpx", "pytest", "pytest-timeout")
"""What the tests marked `gpu` import beside the project, of the extra `dev`."""

TRAINING = ("pebble", "safetensors", "matplotlib")
"""What training needs beside PyTorch, of the extra `train`; PyTorch is there."""

DATA = ("rotmnist.npz", "rotmnist-validation.npz")
"""Rotated MNIST, as `orbitserve data` derives it."""

NOT_BUILT = (".*", "build", "data", "runs", "model_repository", "docs", "tests", "*.egg-info")
"""What a checkout may hold that is no part of its wheel."""

MEGABYTE = 10**6


@dataclass(frozen=True)
class Found:
    """A distribution that pip chose, and what it needs on this platform."""

    name: str
    version: str
    needs: tuple[Requirement, ...]


def requirements(pyproject: Path, *, gpu: bool) -> list[Requirement]:
    """List what the project and its GPU tests require; with `gpu`, NVIDIA's libraries too."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    texts = [*project["dependencies"], *(optional["gpu"] if gpu else ())]
    tests = [each for each in map(Requirement, optional["dev"]) if each.name in TESTS]
    training = [each for each in map(Requirement, optional["train"]) if each.name in TRAINING]
    return [*map(Requirement, texts), *tests, *training]


def read_have(text: str) -> dict[str, str | None]:
    """Read `name==version` lines; a bare name, None here, is of a version that will do."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:==(\S+))?\s*$", text, re.MULTILINE)
    return {canonicalize_name(name): version or None for name, version in found}


def platforms(glibc: int) -> list[str]:
    """List pip's options for wheels of glibc 2.`glibc` and older: pip takes each by its name."""
    names = [f"manylinux_2_{minor}" for minor in range(glibc, 4, -1)]
    names += ["manylinux2014", "manylinux2010", "manylinux1"]
    return [option for name in names for option in ("--platform", f"{name}_x86_64")]


def resolve(wanted: Sequence[Requirement], target: list[str]) -> list[Found]:
    """Ask pip which versions fit together."""
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        # Without --ignore-installed pip would count what is installed here.
        command = ["install", "--dry-run", "-qq", "--ignore-installed", "--target", folder]
        _pip([*command, "--report", str(report), *target, *map(str, wanted)])
        items = json.loads(report.read_text())["install"]
    return [_found(item) for item in items]


def _found(item: dict[str, Any]) -> Found:
    metadata, extras = item["metadata"], ["", *item.get("requested_extras", ())]
    every = [Requirement(text) for text in metadata.get("requires_dist", ())]
    needed = [
        each
        for each in every
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    ]
    return Found(canonicalize_name(metadata["name"]), metadata["version"], tuple(needed))


def missing(
    found: Sequence[Found], wanted: Sequence[Requirement], have: Mapping[str, str | None]
) -> list[Found]:
    """Return what has to be carried: all but what is there in a version that will do.

    A version will do if the project's requirements and those of all that is carried accept it. What
    is there was installed together, so that its own requirements are taken as met.
    """
    carried = [each for each in found if each.name not in have]
    while True:
        asked = [*wanted, *(need for each in carried for need in each.needs)]
        short = [
            each
            for each in found
            if each not in carried and not _will_do(have[each.name], each.name, asked)
        ]
        if not short:
            return carried
        carried += short


def _will_do(version: str | None, name: str, asked: Sequence[Requirement]) -> bool:
    return version is None or all(
        each.specifier.contains(version, prereleases=True)
        for each in asked
        if canonicalize_name(each.name) == name
    )


def cut(wheels: Sequence[Path], out: Path, size: int) -> list[Path]:
    """Move wheels into folders part1, part2, ... of at most `size` bytes; return the folders.

    A wheel above `size` becomes pieces named `<wheel>.00`, `<wheel>.01`, ...
    """
    pieces: list[Path] = []
    for wheel in wheels:
        pieces += [wheel] if wheel.stat().st_size <= size else _pieces(wheel, size)
    room: list[tuple[Path, int]] = []
    for piece in sorted(pieces, key=lambda path: -path.stat().st_size):
        bytes_ = piece.stat().st_size
        index = next((i for i, (_, left) in enumerate(room) if left >= bytes_), len(room))
        if index == len(room):
            room.append((out / f"part{index + 1}", size))
            room[index][0].mkdir()
        folder, left = room[index]
        piece.rename(folder / piece.name)
        room[index] = folder, left - bytes_
    return [folder for folder, _ in room]


def _pieces(wheel: Path, size: int) -> list[Path]:
    found: list[Path] = []
    with wheel.open("rb") as source:
        while data := source.read(size):
            found.append(wheel.with_name(f"{wheel.name}.{len(found):02d}"))
            found[-1].write_bytes(data)
    wheel.unlink()
    return found


def build_project(out: Path) -> None:
    """Build this checkout's own wheel from a copy: setuptools would keep what it once built."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, "orbitserve")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_BUILT))
        _pip(["wheel", "-qq", "--no-deps", "--wheel-dir", str(out), str(copy)])


def _pip(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise SystemExit(f"pip {arguments[0]} ended with status {done.returncode}.")


def main() -> None:
    """Resolve, download and cut."""
    parser = argparse.ArgumentParser(prog="wheelhouse.py", description=__doc__)
    parser.add_argument("--python-version", default="3.12", help="of the other machine")
    parser.add_argument("--glibc", type=int, default=39, help="the N of its glibc 2.N")
    parser.add_argument("--gpu", action="store_true", help="with CUDA's and cuDNN's libraries")
    parser.add_argument("--have", type=Path, help="what it has: pip list --format=freeze")
    parser.add_argument("--part", type=int, help="megabytes of a part at most")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "wheelhouse")
    parser.add_argument("--data", type=Path, help="folder of rotated MNIST, to be trained on there")
    options = parser.parse_args()

    files = [options.data / name for name in DATA] if options.data else []
    if lacking := [str(file) for file in files if not file.is_file()]:
        raise SystemExit(f"There is no {lacking[0]}; `make data` derives it.")
    if options.out.exists() and any(options.out.iterdir()):
        raise SystemExit(f"{options.out} is not empty; remove it, or name another with --out.")
    wanted = requirements(ROOT / "pyproject.toml", gpu=options.gpu)
    have = read_have(options.have.read_text(encoding="utf-8")) if options.have else {}
    target = ["--only-binary=:all:", "--implementation", "cp"]
    target += ["--python-version", options.python_version, *platforms(options.glibc)]
    carried = missing(resolve(wanted, target), wanted, have)
    pins = [f"{each.name}=={each.version}" for each in carried]
    options.out.mkdir(parents=True, exist_ok=True)
    if pins:
        # Of what was resolved: nothing is left to choose.
        _pip(["download", "-qq", "--no-deps", "--dest", str(options.out), *target, *pins])
    build_project(options.out)
    wheels = sorted(options.out.glob("*.whl"))
    print(f"{len(wheels)} wheels, {sum(each.stat().st_size for each in wheels) / MEGABYTE:.0f} MB")
    wheels += [Path(shutil.copy(file, options.out)) for file in files]
    for folder in cut(wheels, options.out, options.part * MEGABYTE) if options.part else ():
        bytes_ = sum(each.stat().st_size for each in folder.iterdir())
        print(f"{folder}: {bytes_ / MEGABYTE:.0f} MB")


if __name__ == "__main__":
    main()
