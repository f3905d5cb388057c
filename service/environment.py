"""Reading the settings from the environment, and what is said of wrong ones."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import ValidationError

from service.settings import PREFIX, ConfigurationError, Settings

_SECRETS = ("shadow_salt",)
_OF_CLIENTS = "ORBITSERVE_API_KEY"  # what `orbitserve audit` and others send to a service
_LONGEST_QUOTED = 200
# What Kubernetes sets in every pod for a Service named orbitserve, or orbitserve-gpu.
_SERVICE_LINK = re.compile(
    r"(.+_)?(SERVICE_(HOST|PORT(_.+)?)=.*|PORT(_\d+_(TCP|UDP|SCTP))?=\w+://.*|PORT_\d+_.*)"
)


def read_settings(**options: object) -> Settings:
    """Read the settings from the environment; options that are not None take precedence.

    Raises
    ------
    ConfigurationError
        Naming the first setting that is wrong, what it was and what is accepted.
    """
    _check_names(os.environ)
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).lower().removeprefix(PREFIX.lower())
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        secret = name in _SECRETS  # which nobody wants to find in a log
        what = "is not accepted" if secret else f"is {_quoted(first['input'])}"
        raise ConfigurationError(f"The setting {PREFIX}{name.upper()} {what}: {message}.") from None


def _check_names(variables: Mapping[str, str]) -> None:
    """Refuse a variable that would be a setting, were it not misspelt: it would change nothing."""
    names = [name.upper() for name in Settings.model_fields]
    for variable, value in variables.items():
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or name in names or PREFIX + name == _OF_CLIENTS:
            continue
        if _SERVICE_LINK.fullmatch(f"{name}={value}"):
            continue
        near = get_close_matches(name, names, 1)
        meant = f"{PREFIX}{near[0]} is" if near else "those that docs/settings.md lists are"
        raise ConfigurationError(
            f"The variable {variable[:_LONGEST_QUOTED]} is no setting and changes nothing; {meant} "
            "accepted."
        )


def _quoted(value: object) -> str:
    """Write what a setting is; of something long, its beginning."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}..."


def check_who_may_call(settings: Settings) -> None:
    """Refuse to serve everybody where a key was set as a client sets it.

    Raises
    ------
    ConfigurationError
        If ORBITSERVE_API_KEY is set, and ORBITSERVE_API_KEYS is not.
    """
    if settings.api_keys is None and _OF_CLIENTS in os.environ:
        raise ConfigurationError(
            f"{_OF_CLIENTS} is the key that a client sends, and keeps nobody from calling this "
            "service; ORBITSERVE_API_KEYS, which names a file of keys, does."
        )
