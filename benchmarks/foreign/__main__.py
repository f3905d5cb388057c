"""`python -m benchmarks.foreign`: models that nobody here wrote, imported and served.

Each is made in an environment of its own in build/, imported and served, and its answers are
compared with those of plain onnxruntime on the file as it was given and on what the model's own
library makes of the pictures. The table of docs/import.md is what this prints.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.foreign.environment import PACKAGES, prepare
from benchmarks.foreign.measure import ROOT, Figures, ImportRefusedError, measure
from benchmarks.foreign.models import MODELS, Foreign
from benchmarks.machine import describe_machine

HEAD = (
    "| model | options | largest difference | median | same label | proof | import s | "
    "proof after `--symmetrise` | import s |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a model."""
    parser = argparse.ArgumentParser(prog="benchmarks.foreign", description=__doc__)
    parser.add_argument("--only", default="", help="models whose name holds this")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "foreign")
    options = parser.parse_args(arguments)
    models = [model for model in MODELS if options.only in model.name]
    if not models:
        sys.exit(f"benchmarks.foreign: no model is named '{options.only}'.")
    folder = options.folder.resolve()
    python = prepare(folder)
    if not (folder / "pictures").exists():
        _run(python, "pictures", folder, folder)
    print(f"{describe_machine()}.\n")
    print(*HEAD, sep="\n", flush=True)
    for model in models:
        print(_line(model, folder, python), flush=True)


def _line(model: Foreign, folder: Path, python: Path) -> str:
    made, repository, pictures = (folder / x for x in ("models", "repository", model.pictures))
    if not (made / model.name / "reference.npz").exists():
        _run(python, model.maker, folder, made, pictures, model.name)
    for name in (model.name, f"{model.name}-averaged"):
        shutil.rmtree(repository / name, ignore_errors=True)
    told = f"`{model.options}`" if model.options else ""
    try:
        found = measure(model, made, pictures, repository)
    except ImportRefusedError as refused:
        return f"| {model.source} | {told} | refused: {refused} | | | | | | |"
    return f"| {model.source} | {told} | {_cells(found, model.group)} |"


def _cells(found: Figures, group: str) -> str:
    return " | ".join(
        (
            f"{found.largest:.2g}",
            f"{found.median:.2g}",
            f"{found.kept} of {found.pictures}",
            found.imported.proof,
            f"{found.imported.seconds:.0f}",
            *(
                ("refused", found.symmetrised)
                if isinstance(found.symmetrised, str)
                else (
                    f"{found.symmetrised.proof} over {group}",
                    f"{found.symmetrised.seconds:.0f}",
                )
            ),
        )
    )


def _run(python: Path, maker: str, folder: Path, *arguments: str | Path) -> None:
    """Run a maker in the environment."""
    settings = {
        "YOLO_CONFIG_DIR": str(folder / "settings"),
        "KERAS_BACKEND": "torch",
        "PACKAGES": str(folder / PACKAGES),
    }
    done = subprocess.run(
        [python, "-W", "ignore", "-m", f"benchmarks.foreign.makers.{maker}", *arguments],
        cwd=folder,
        env=os.environ | settings | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        sys.exit(f"benchmarks.foreign: {maker}: {' '.join(last)}")


if __name__ == "__main__":
    main()
