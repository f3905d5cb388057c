"""What becomes of one model: imported, served, compared, and symmetrised."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.foreign.models import Foreign
from benchmarks.serving.server import Launch, free_port, running

ROOT = Path(__file__).parents[2]
SETTINGS = {"device": "cpu", "proof": "off", "log_level": "error"}


class ImportRefusedError(RuntimeError):
    """`orbitserve import` refused a model; the message is its sentence."""


@dataclass(frozen=True)
class Imported:
    """What an import printed, and how many seconds it took."""

    lines: Sequence[str]
    seconds: float

    @property
    def proof(self) -> str:
        """Return what was proved of the version."""
        found = next(line for line in self.lines if line.startswith("Proof over"))
        return found.partition(": ")[2].rstrip(".")


@dataclass(frozen=True)
class Figures:
    """How a served model differs from plain onnxruntime, in probabilities over all pictures.

    Attributes
    ----------
    symmetrised
        The import of its average; the sentence, where that is refused.
    """

    imported: Imported
    symmetrised: Imported | str
    largest: float
    median: float
    kept: int
    pictures: int


def measure(model: Foreign, made: Path, pictures: Path, repository: Path) -> Figures:
    """Import a model twice, as it is and averaged over a group, serve it and compare.

    Raises
    ------
    ImportRefusedError
        If it is not imported.
    """
    place = model.place(made)
    imported = bring(model, place, pictures, repository, model.name)
    served = classify(repository, model.name, pictures)
    expected = np.load(made / model.name / "reference.npz")["probabilities"]
    average = ("--symmetrise", model.group)
    symmetrised: Imported | str
    try:
        symmetrised = bring(model, place, pictures, repository, f"{model.name}-averaged", average)
    except ImportRefusedError as refused:
        symmetrised = str(refused)
    differences = np.abs(served - expected).max(axis=1)
    return Figures(
        imported=imported,
        symmetrised=symmetrised,
        largest=float(differences.max()),
        median=float(np.median(differences)),
        kept=int((served.argmax(1) == expected.argmax(1)).sum()),
        pictures=len(served),
    )


def bring(
    model: Foreign,
    place: Path,
    pictures: Path,
    repository: Path,
    name: str,
    options: Sequence[str] = (),
) -> Imported:
    """Import a model by the command."""
    told = ("--name", name, "--audit-images", pictures, "--repository", repository)
    command = [sys.executable, "-m", "orbitserve", "import", place]
    begun = time.perf_counter()
    done = subprocess.run(
        [*map(str, command), *map(str, told), *model.options.split(), *options],
        cwd=place if place.is_dir() else place.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ImportRefusedError(last.removeprefix("orbitserve: "))
    lines = [line.strip() for line in done.stdout.splitlines()]
    return Imported(lines, time.perf_counter() - begun)


def classify(repository: Path, name: str, pictures: Path) -> NDArray[np.float64]:
    """Serve a model and return its probabilities [images, classes] for pictures, sent as PNG."""
    port = free_port()
    options = SETTINGS | {"repository": repository, "port": port, "default_model": name}
    environment = {f"ORBITSERVE_{key.upper()}": str(value) for key, value in options.items()}
    command = [sys.executable, "-m", "orbitserve", "serve"]
    with running(Launch(command, os.environ | environment, "/readyz", ROOT), port):
        return np.array([_ask(port, name, path) for path in sorted(pictures.iterdir())])


def _ask(port: int, name: str, picture: Path) -> list[float]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/models/{name}/classify?top_k=1000",
        picture.read_bytes(),
        {"Content-Type": "image/png"},
    )
    with urllib.request.urlopen(request) as answer:
        top = json.load(answer)["predictions"][0]["top"]
    return [each["probability"] for each in sorted(top, key=lambda each: int(each["index"]))]
