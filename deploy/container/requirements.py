"""Prints what pyproject.toml requires, a line each: to build, or to run with some extras."""

import sys
import tomllib
from pathlib import Path
from typing import Any

USAGE = "usage: requirements.py build | runtime [EXTRA...]"


def requirements(pyproject: dict[str, Any], purpose: str, extras: list[str]) -> list[str]:
    """List the requirements for a purpose; ValueError for an unknown purpose or extra."""
    if purpose == "build" and not extras:
        return list(pyproject["build-system"]["requires"])
    if purpose != "runtime":
        raise ValueError(USAGE)
    optional = pyproject["project"]["optional-dependencies"]
    unknown = [extra for extra in extras if extra not in optional]
    if unknown:
        raise ValueError(f"pyproject.toml has no extra {unknown[0]!r}; it has {sorted(optional)}")
    wanted = list(pyproject["project"]["dependencies"])
    for extra in extras:
        wanted += optional[extra]
    return wanted


def main(arguments: list[str]) -> int:
    """Print the requirements that the arguments ask for; 2 when they ask for none."""
    purpose, *extras = arguments or [""]
    pyproject = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    try:
        print("\n".join(requirements(pyproject, purpose, extras)))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
