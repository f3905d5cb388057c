"""`orbitserve serve`: the HTTP service."""

from typing import Annotated

import typer

from commands.options import Device, Repository


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    repository: Repository = None,
    default_model: Annotated[
        str | None, typer.Option(help="Model behind /classify; else the first by name.")
    ] = None,
    device: Device = None,
) -> None:
    """Serve the models of a repository over HTTP.

    Every setting can be given as a variable of the environment too: ORBITSERVE_PORT=8080, ...

    Example: orbitserve serve --port 8080 --device cpu
    """
    from service.server import serve as run
    from service.settings import read_settings

    run(
        read_settings(
            host=host, port=port, repository=repository, default_model=default_model, device=device
        )
    )
