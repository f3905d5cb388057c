"""Installs a wheelhouse, whole or in parts, into a folder that comes first on Python's path.

usage: install.py TARGET WHEELHOUSE...

The folder lies beside what this Python has, PyTorch for instance, and changes nothing of it. pip is
asked for the wheels themselves: it looks nothing up and needs no network.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

DONE = ".wheels"


def gather(folders: Sequence[Path], into: Path, suffix: str = ".whl") -> list[Path]:
    """Return the wheels of folders and of their part1, part2, ..., pieces joined in `into`.

    Raises
    ------
    ValueError
        If a piece of a wheel is missing.
    """
    files = [file for folder in folders for file in folder.rglob(f"*{suffix}*")]
    wheels = {file.name: file for file in files if file.suffix == suffix}
    pieces: dict[str, dict[int, Path]] = {}
    for file in files:
        if file.suffix != suffix and file.suffix[1:].isdigit():
            pieces.setdefault(file.stem, {})[int(file.suffix[1:])] = file
    for name, found in pieces.items():
        if gaps := sorted(set(range(max(found) + 1)) - set(found)):
            raise ValueError(f"{name} lacks its piece {gaps[0]:02d}.")
        wheels[name] = into / name
        with wheels[name].open("wb") as whole:
            for number in sorted(found):
                with found[number].open("rb") as piece:
                    shutil.copyfileobj(piece, whole)
    return [wheels[name] for name in sorted(wheels)]


def install(wheels: Sequence[Path], target: Path) -> int:
    """Install wheels into the folder, unless it holds just these; return pip's status."""
    names = "\n".join(wheel.name for wheel in wheels)
    if (target / DONE).exists() and (target / DONE).read_text() == names:
        return 0
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command += ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade"]
    done = subprocess.run([*command, "--target", target, *wheels], check=False)
    if done.returncode == 0:
        (target / DONE).write_text(names)
    return done.returncode


def lay_data(folders: Sequence[Path], target: Path) -> None:
    """Lay the data sets that the folders hold, if any, into the folder `data` of the target."""
    place = target / "data"
    place.mkdir(parents=True, exist_ok=True)
    for file in gather(folders, place, ".npz"):
        if file.parent != place:
            shutil.copy(file, place)


def main(arguments: list[str]) -> int:
    """Join and install; 2 for wrong arguments, 3 for a wheelhouse that is not whole."""
    if len(arguments) < 2:
        print("usage: install.py TARGET WHEELHOUSE...", file=sys.stderr)
        return 2
    target, *folders = map(Path, arguments)
    # A piece cut short is a broken zip file, which pip names.
    with TemporaryDirectory() as joined:
        try:
            wheels = gather(folders, Path(joined))
            if not wheels:
                raise ValueError(f"There are no wheels in {', '.join(map(str, folders))}.")
            lay_data(folders, target)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 3
        return install(wheels, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
