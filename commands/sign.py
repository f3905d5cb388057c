"""`orbitserve sign`: who answers for a version."""

from pathlib import Path
from typing import Annotated

import typer

from commands.options import Repository


def sign(
    model: Annotated[str, typer.Argument(help="<name>, its latest version, or <name>/<version>.")],
    private_key: Annotated[
        Path, typer.Option(help="PEM file: a key on P-256, P-384 or P-521, without a password.")
    ],
    certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file: certificate of that key, then those up to a root."),
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option(help="PEM file: a certificate between it and a root; may be repeated."),
    ] = None,
    repository: Repository = None,
) -> None:
    """Sign a version: model.onnx, card.json and audit.npz, by model.sig beside them.

    The files are checked first. Nothing leaves this machine. It needs the extra `signing`.

    Example: orbitserve sign rotmnist-c4/1 --private-key signer.pem
    """
    from commands.names import on_one_line
    from commands.reading import settings_of_a_command
    from imaging import RefusedError
    from service.repository.local import sign_version

    if chain and certificate is None:
        raise RefusedError("--chain is for a --certificate, and there is none.")
    settings = settings_of_a_command(repository)
    file, key = sign_version(model, settings, private_key, certificate, chain or [])
    typer.echo(on_one_line(f"{file}: signed by the key {key}"))
