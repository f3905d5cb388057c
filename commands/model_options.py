"""Options that are read off a model: one place says what each is called, takes and means."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Options = TypeVar("Options", bound="BaseModel")


class CommandOfAModel(TyperCommand):
    """A command whose options a model has; neither is imported to list the commands."""

    def load(self) -> Callable[..., None]:
        """Import what the command runs, with its options as its signature."""
        raise NotImplementedError

    @cached_property
    def _loaded(self) -> TyperCommand:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command()(self.load())
        return typer.main.get_command(app)  # type: ignore[return-value] # a single command

    def get_params(self, ctx: Any) -> list[Any]:
        """Return what the command can be told."""
        return self._loaded.get_params(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Do as it was told."""
        return self._loaded.invoke(ctx)


def with_options(run: Callable[..., None], options: "type[BaseModel]") -> Callable[..., None]:
    """Give a function that takes `**asked` an option for each field, typed and bounded as it is."""
    own = [
        parameter
        for parameter in signature(run, eval_str=True).parameters.values()
        if parameter.kind is not Parameter.VAR_KEYWORD
    ]

    def start(**given: Any) -> None:
        run(**given)

    # Typer reads a command's options off its signature.
    start.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            *(each.replace(kind=Parameter.KEYWORD_ONLY) for each in own),
            *_parameters(options),
        ]
    )
    return start


def read_options(options: type[Options], given: Mapping[str, Any]) -> Options:
    """Return options of these values; RefusedError where a value is none of theirs."""
    from pydantic import ValidationError

    from imaging import RefusedError

    try:
        return options(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "-".join(map(str, first["loc"])).replace("_", "-")
        raise RefusedError(f"'--{name}' is {first['input']}: {first['msg']}.") from None


def _parameters(options: "type[BaseModel]") -> Iterator[Parameter]:
    for name, field in options.model_fields.items():
        flag, least, most = name.replace("_", "-"), *_bounds(field)
        words = [f"--{flag}"]
        if field.default is True:
            words = [f"--{flag}/--no-{flag}"]
        option = typer.Option(*words, help=field.description, min=least, max=most)
        annotation = Annotated[field.annotation, option]  # type: ignore[name-defined]
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)


def _bounds(field: "FieldInfo") -> tuple[Any, Any]:
    """The least and the most that a number may be, where there is such."""
    from annotated_types import Ge, Le, Lt

    least = most = None
    for bound in field.metadata:
        if isinstance(bound, Ge):
            least = bound.ge
        elif isinstance(bound, Le):
            most = bound.le
        elif isinstance(bound, Lt) and field.annotation in (int, int | None):
            most = int(bound.lt) - 1  # type: ignore[call-overload]
    return least, most
