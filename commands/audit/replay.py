"""The options of a call that a report depends on, to give them again."""

from collections.abc import Iterator
from typing import Any, Final

# They say where a report goes or how it is waited for, or are secret: no report depends on them.
_LEFT_OUT: Final = {
    *("target", "folder", "report_format", "json", "output", "ledger", "language", "fail_on"),
    *("progress", "resume"),
    *("api_key", "sign", "certificate"),
    *("engine", "workers", "object_store", "ray_address", "scratch"),
}


def given_options(context: Any) -> Iterator[str]:
    """Yield the words of every option that was given and matters, of Typer's context of a call."""
    for option in context.command.get_params(context):
        value = context.params.get(option.name)
        if option.name in _LEFT_OUT or value is None or value == option.default:
            continue
        if isinstance(value, bool):
            yield (option.opts if value else option.secondary_opts)[0]
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            yield from (option.opts[0], str(each))
