"""The command line that makes the same report again."""

import shlex
from collections.abc import Iterator
from typing import Any, Final

# They say where a report goes or how it is waited for, or are secret: no report depends on them.
_LEFT_OUT: Final = {
    *("target", "form", "json", "output", "ledger", "fail_on", "progress", "resume", "api_key")
}

_MATTER: Final = ("repository", "device", "threads", "max_pixels")
"""Settings that a report depends on, besides those of a GPU."""


def replay(target: str, context: Any, settings: Any) -> str:
    """Return `orbitserve audit <target>` with every option that was given and matters.

    Parameters
    ----------
    target
        What was audited, with its version.
    context
        Typer's context of the call.
    settings
        As they were read; those that come from the environment precede the command.
    """
    return shlex.join(
        [*_environment(context, settings), "orbitserve", "audit", target, *_given(context)]
    )


def _given(context: Any) -> Iterator[str]:
    for option in context.command.params:
        value = context.params.get(option.name)
        if option.name in _LEFT_OUT or value is None or value == option.default:
            continue
        if isinstance(value, bool):
            yield option.opts[0]
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            yield from (option.opts[0], str(each))


def _environment(context: Any, settings: Any) -> Iterator[str]:
    named = [
        name
        for name in sorted(settings.model_fields_set)
        if name in _MATTER or name.startswith(("gpu_", "tensorrt_"))
    ]
    from_environment = [name for name in named if context.params.get(name) is None]
    if from_environment:
        yield "env"
    for name in from_environment:
        yield f"ORBITSERVE_{name.upper()}={getattr(settings, name)}"
