"""`orbitserve import`: a classifier from elsewhere becomes a version of a model repository."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.options import Repository, WhiteLevel


def import_model(
    file: Annotated[
        Path,
        typer.Argument(
            help="An ONNX file that classifies images, or a folder with one; the names and the "
            "preprocessing that Transformers, timm and Ultralytics write with it are read."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the model that it becomes a version of.")],
    audit_images: Annotated[
        Path,
        typer.Option(
            help="What the version is measured on: a folder of images, with one sub-folder a class "
            "if they have labels, or the audit.npz of another version."
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names of the classes: a,b,c, a text file with one a line, or JSON, a list or "
            "with their numbers; else those beside the file."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="To prove, or nothing is imported; else D4, C4 (oblong: D2, C2) if proved."
        ),
    ] = None,
    project: Annotated[
        bool, typer.Option("--project", help="Average weights that nearly tie over the group.")
    ] = False,
    symmetrise: Annotated[
        Literal["C2", "D2", "C4", "D4"] | None,
        typer.Option(help="Average the logits over a group, at as many times the cost."),
    ] = None,
    input_scale: Annotated[
        str | None,
        typer.Option(help="For an input of floats: what grey levels are multiplied by, as 1/255."),
    ] = None,
    mean: Annotated[
        str, typer.Option(help="Subtracted after that: one number, or one a channel.")
    ] = "0",
    std: Annotated[str, typer.Option(help="Divided by after that, likewise.")] = "1",
    size: Annotated[
        str | None,
        typer.Option(help="The input's side, or 48x192 for its height and width, if left open."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="The output with the logits, if the file has several.")
    ] = None,
    output_kind: Annotated[
        Literal["logits", "probabilities", "percent", "sigmoid"] | None,
        typer.Option(help="What that output holds, if the file does not tell."),
    ] = None,
    multi_label: Annotated[
        bool,
        typer.Option(
            "--multi-label",
            help="An image may get several labels, or none: of a file with logits alone.",
        ),
    ] = False,
    channel_order: Annotated[
        Literal["rgb", "bgr"], typer.Option(help="In which the file takes colours.")
    ] = "rgb",
    fit: Annotated[
        Literal["pad", "crop", "stretch", "resize-crop"] | None,
        typer.Option(help="How images of other sizes come to the input's; else they are padded."),
    ] = None,
    resize: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Before a crop, as 256: the shorter side for resize-crop, both for stretch.",
        ),
    ] = None,
    resampling: Annotated[
        Literal["bilinear", "bicubic"] | None,
        typer.Option("--filter", help="Of the resizing; else bilinear."),
    ] = None,
    fill: Annotated[
        int, typer.Option(min=0, max=255, help="Grey level of what lies outside of them.")
    ] = 0,
    white_level: WhiteLevel = None,
    licence: Annotated[str, typer.Option(help="Of the audit images.")] = "not stated",
    repository: Repository = None,
    all_images: Annotated[
        bool,
        typer.Option(
            "--all-images", help="Measure a large network on all images, and not on a sample."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what was understood and what is to come, and write nothing."
        ),
    ] = False,
) -> None:
    """Bring an ONNX classifier from elsewhere into the repository: proved, measured, audited.

    Example: orbitserve import net.onnx --name cells --classes round,long --input-scale 1/255
    --audit-images ./cells --symmetrise D4
    """
    from commands.display import shown_progress
    from commands.names import on_one_line
    from commands.reading import settings_of_a_command
    from export.onnx_import.dry_run import describe
    from export.onnx_import.importer import Request, import_onnx
    from export.onnx_import.options import read_classes, read_scaling, read_size
    from export.onnx_import.summary import summarise
    from export.onnx_import.understand import understand

    names, notes = read_classes(classes) if classes is not None else ((), ())
    request = Request(
        file=file,
        name=name,
        classes=names,
        notes=notes,
        pictures=audit_images,
        group=group,
        scaling=read_scaling(input_scale, mean, std, channel_order),
        size=read_size(size),
        output=output,
        output_kind=output_kind,
        multi_label=multi_label,
        fit=fit,
        fill=fill,
        resize=resize,
        filter=resampling,
        white_level=white_level,
        project=project,
        symmetrise=symmetrise,
        licence=licence,
        all_images=all_images,
    )
    if dry_run:
        told = describe(understand(request))
        typer.echo("\n  ".join(map(on_one_line, told)))
        return
    models = settings_of_a_command(repository).repository
    with shown_progress() as progress:
        path = import_onnx(request, models, progress)
    typer.echo("\n  ".join(map(on_one_line, summarise(path))))
