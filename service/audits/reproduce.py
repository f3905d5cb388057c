"""The command line that makes the same report again."""

import shlex
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from imaging.files import in_utf8
from service.settings import Settings

_MATTER: Final = ("repository", "device", "threads", "max_pixels")
"""Settings that a report depends on, besides those of a GPU."""


def replay(
    target: str,
    options: Iterable[str],
    settings: Settings,
    given: Collection[str] = (),
    *,
    command: str = "audit",
) -> str:
    """Return `orbitserve audit <target>` with options, and the settings that a report depends on.

    Parameters
    ----------
    target
        What was audited, with its version.
    options
        The words that follow it.
    settings
        As they were read; those that were set are variables of the environment.
    given
        Names of settings that the options have.
    command
        The sub-command, where it is another one.
    """
    environment = list(_environment(settings, given))
    return in_utf8(shlex.join([*environment, "orbitserve", command, target, *options]))


def _environment(settings: Settings, given: Collection[str]) -> Iterator[str]:
    named = [
        name
        for name in sorted(settings.model_fields_set)
        if (name in _MATTER or name.startswith(("gpu_", "tensorrt_"))) and name not in given
    ]
    if named:
        yield "env"
    for name in named:
        yield f"ORBITSERVE_{name.upper()}={getattr(settings, name)}"
