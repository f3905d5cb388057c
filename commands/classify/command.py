"""`orbitserve classify`, as it is listed; what it runs is imported when it is called."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.options import (
    DEFAULT_MODEL,
    Device,
    EngineName,
    ImageColumn,
    ObjectStore,
    RayAddress,
    Repository,
    Shown,
    Workers,
)


def classify(
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files, folders of them, Parquet files, or URLs of these that fsspec opens; "
            "hidden files are skipped."
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help=f"<name> or <name>/<version>; else {DEFAULT_MODEL}.")
    ] = None,
    repository: Repository = None,
    device: Device = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many classes of each image.")] = 1,
    report_format: Annotated[
        Literal["text", "csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Else what the ending of --output names, or text."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the lines, which stands there when all are in it; until then they are "
            "in <output>.partial."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with that file: what it has is not classified again."),
    ] = False,
    progress: Shown = "auto",
    engine: EngineName = "local",
    workers: Workers = None,
    object_store: ObjectStore = None,
    ray_address: RayAddress = None,
    image_column: ImageColumn = None,
) -> None:
    """Classify image files, a line each: probability, label, file.

    A file that cannot be read has a line that says why, and the exit status is 3 in the end. It is
    0 if all were classified.

    Example: orbitserve classify examples/seven.png

    Example: orbitserve classify ./photos --top-k 3 --output photos.csv --resume

    Example: orbitserve classify s3://shop/parts.parquet --engine ray --output parts.parquet
    """
    from commands.bulk import EngineOptions
    from commands.classify.run import run

    run(
        images,
        model,
        repository,
        device,
        top_k=top_k,
        asked_format=report_format,
        output=output,
        resume=resume,
        progress=progress,
        engine=EngineOptions(engine, workers, object_store, ray_address),
        image_column=image_column,
    )
