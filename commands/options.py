"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_MODEL = "rotmnist-c4"

Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or tensorrt.")]
Repository = Annotated[Path | None, typer.Option(help="Folder of models.")]
DataFolder = Annotated[Path, typer.Option("--data", help="Folder that holds the data sets.")]
