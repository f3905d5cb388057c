"""A virtual environment for each rival, made once and kept in a folder that git ignores."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

STAMP = "requirements.txt"


class InstallError(RuntimeError):
    """A rival could not be installed; the message is one sentence."""


def prepare(folder: Path, requirements: Sequence[str]) -> Path:
    """Return the folder of an environment that holds ``requirements`` and our onnxruntime.

    An environment is kept as long as what it should hold stays the same.

    Raises
    ------
    InstallError
        With pip's last line.
    """
    wanted = "\n".join([*requirements, f"onnxruntime=={onnxruntime.__version__}"])
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    if folder.exists():
        shutil.rmtree(folder)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(python_of(folder)), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    _run([*pip, *wanted.splitlines()])
    stamp.write_text(wanted)
    return folder


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def site_packages(folder: Path) -> Path:
    """Return where an environment keeps its packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / version / "site-packages"


def version_of(python: Path, package: str) -> str:
    """Return the version of a package in the environment of an interpreter."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return _run([str(python), "-c", code]).strip()


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise InstallError(f"it could not be installed: {lines[-1]}")
    return done.stdout
