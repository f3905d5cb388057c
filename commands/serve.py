"""`orbitserve serve`: the HTTP service. Its options are the settings, read off their model."""

from collections.abc import Iterator
from functools import cached_property
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


def serve() -> None:
    """Serve the models of a repository over HTTP.

    Every option can be given as a variable of the environment too: ORBITSERVE_PORT=8080, ...
    The option precedes the variable.

    Example: orbitserve serve --port 8080 --device cpu
    """


class ServeCommand(TyperCommand):
    """`serve` with an option for each setting; their model is not imported to list commands."""

    @cached_property
    def _with_options(self) -> TyperCommand:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command()(_run_with_options())
        return typer.main.get_command(app)  # type: ignore[return-value] # a single command

    def get_params(self, ctx: Any) -> list[Any]:
        """Return what `serve` can be told."""
        return self._with_options.get_params(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Serve as it was told."""
        return self._with_options.invoke(ctx)


def _run_with_options() -> Any:
    from service.server import serve as run
    from service.settings import read_settings

    def start(**options: object) -> None:
        run(read_settings(**options))

    # Typer reads a command's options off its signature.
    start.__signature__ = Signature([*_parameters()])  # type: ignore[attr-defined]
    return start


def _parameters() -> Iterator[Parameter]:
    """Yield an option for each setting: text, which the settings check as they do a variable's."""
    from service.settings import Settings

    for name, field in Settings.model_fields.items():
        kind = bool if field.annotation is bool else str
        default = field.default is not None and str(field.default)
        metavar = None if kind is bool else "VALUE"
        option = typer.Option(help=field.description, metavar=metavar, show_default=default)
        annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
