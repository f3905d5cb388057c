"""`orbitserve pack`: a version as an OCI image."""

from pathlib import Path
from typing import Annotated

import typer

from commands.options import Repository


def pack(
    model: Annotated[str, typer.Argument(help="<name>, its latest version, or <name>/<version>.")],
    output: Annotated[Path, typer.Option(help="Folder for the image; a new or an empty one.")],
    base: Annotated[
        Path | None,
        typer.Option(
            help="OCI image layout of an image to lay the version over, such as busybox: KServe's "
            "oci:// wants a shell in it, oci+native:// and image volumes want nothing."
        ),
    ] = None,
    repository: Repository = None,
) -> None:
    """Write a version as an OCI image layout, with its files under /models, a model repository.

    The files are checked first; those that a service does not read are left out. Equal files give
    an equal digest, wherever and whenever they are packed.

    Example: orbitserve pack rotmnist-c4/1 --output rotmnist-c4-image
    """
    from artifact.oci_base import BaseImage
    from artifact.oci_image import check_output
    from commands.names import on_one_line
    from commands.reading import settings_of_a_command
    from service.repository.local import pack_version

    settings = settings_of_a_command(repository)
    check_output(output)
    below = None if base is None else BaseImage.read(base)
    folder, digest = pack_version(model, settings, output, below)
    typer.echo(on_one_line(f"{output}: {folder.parent.name}/{folder.name} as {digest}"))
