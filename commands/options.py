"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def _checked(level: int | None) -> int | None:
    from imaging import check_white_level

    check_white_level(level)
    return level


MODEL_UNDER_TEST = (
    "<name> or <name>/<version> of the repository, a file that ends in .onnx, or the address of a "
    "service, http://<host>:<port>/models/<name>"
)
"""What is audited, evaluated and compared."""

DEFAULT_MODEL = "ORBITSERVE_DEFAULT_MODEL or the first name in the alphabet"
"""Which model is meant where none is named."""

Device = Annotated[
    str | None,
    typer.Option(help="auto, cpu, cuda or tensorrt; else ORBITSERVE_DEVICE, or auto."),
]
Repository = Annotated[
    Path | None,
    typer.Option(help="Folder of models; else ORBITSERVE_REPOSITORY, or model_repository."),
]
Images = Annotated[
    list[Path] | None,
    typer.Option(
        help="Image files, folders of them, or one audit.npz; without any, the audit set that came "
        "with the model, the first of two."
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="What images were taken of, to count it once: folder, or a CSV file of names and "
        "groups."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")]
Output = Annotated[
    list[Path] | None,
    typer.Option(help="File for it, in the format that its ending names; may be repeated."),
]
EngineName = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="This process, or workers of Ray, which the extra 'ray' brings."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Of Ray: how many hold the model; else one a CPU, or a GPU."),
]
ObjectStore = Annotated[
    int | None,
    typer.Option(
        min=80, help="Of Ray: MiB of shared memory between processes, 512 if nothing is said."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(help="Of Ray: a cluster that is there already, <host>:<port> or auto."),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(help="Of Parquet files: the column of images; else the only one of bytes."),
]
WhiteLevel = Annotated[
    int | None,
    typer.Option(
        help="The sample that is white in images of more than 8 bits whose file does not state its "
        "depth, as 4095 of a camera with 12; else the largest one.",
        callback=_checked,
    ),
]
DataFolder = Annotated[Path, typer.Option("--data", help="Folder that holds the data sets.")]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="ORBITSERVE_API_KEY", help="Of a service; better by the variable."),
]
FailOn = Annotated[
    str | None,
    typer.Option(help="Verdicts that are failures: fail, inconclusive, both, or never."),
]
Shown = Annotated[
    Literal["auto", "plain", "none"],
    typer.Option(help="On standard error: bars on a terminal, plain lines, or nothing."),
]
ServedModel = Annotated[str | None, typer.Option(help="Of a service: <name> or <name>/<version>.")]
