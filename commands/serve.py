"""`orbitserve serve`: the HTTP service. Its options are the settings, read off their model."""

from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from typing import Annotated

import typer

from commands.model_options import CommandOfAModel


def serve() -> None:
    """Serve the models of a repository over HTTP.

    Every option can be given as a variable of the environment too: ORBITSERVE_PORT=8080, ...
    The option precedes the variable.

    Example: orbitserve serve --port 8080 --device cpu
    """


class ServeCommand(CommandOfAModel):
    """`serve` with an option for each setting."""

    def load(self) -> Callable[..., None]:
        """Return what it runs."""
        from imaging.process import end_when_asked

        end_when_asked()  # before all else is imported, which takes seconds
        return _run_with_options()


def _run_with_options() -> Callable[..., None]:
    from service.environment import check_who_may_call, read_settings
    from service.server import serve as run

    def start(**options: object) -> None:
        settings = read_settings(**options)
        check_who_may_call(settings)
        run(settings)

    # Typer reads a command's options off its signature.
    start.__signature__ = Signature([*_parameters()])  # type: ignore[attr-defined]
    return start


def _parameters() -> Iterator[Parameter]:
    """Yield an option for each setting: text, which the settings check as they do a variable's."""
    from service.settings import Settings

    for name, field in Settings.model_fields.items():
        kind = bool if field.annotation is bool else str
        default = str(field.default) if field.default not in (None, "") else False
        metavar = None if kind is bool else "VALUE"
        option = typer.Option(help=field.description, metavar=metavar, show_default=default)
        annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
