"""The service's settings: one attribute each, read from `ORBITSERVE_<NAME>` or given by name."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.engine import Device
from service.verification import Mode

_PREFIX = "ORBITSERVE_"


class ConfigurationError(ValueError):
    """The service cannot start as it is configured; the message is one sentence."""


class Settings(BaseSettings):
    """What can be configured, with the values that hold where nothing is said."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` in a container."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one and logs which."""

    repository: Path = Path("model_repository")
    """Folder of models, `<name>/<version>/{model.onnx,card.json,audit.npz}`."""

    default_model: str | None = None
    """Model behind `/classify`; the first name in the alphabet where none is given."""

    device: Device = "auto"
    """`cpu`; `cuda` or `tensorrt`, or no start; `auto`: CUDA where it starts, else the CPU."""

    proof: Mode = "report"
    """`report` proves and measures at load what a card claims, and warns of what is not so;
    `enforce` does not serve it; `off` takes the card's word."""

    threads: PositiveInt | None = None
    """Threads a session computes with; by default what the affinity mask and the cgroup allow."""

    max_body_bytes: PositiveInt = 32 * 2**20
    """Largest request body."""

    max_pixels: PositiveInt = 2**25
    """Largest image, in pixels, read from its header before it is decoded."""

    max_batch: PositiveInt = 64
    """Most images in one classification."""

    max_audit_images: PositiveInt = 4096
    """Most images in one audit."""

    shutdown_seconds: NonNegativeInt = 20
    """How long requests under way may still take after SIGTERM."""

    log_format: Literal["console", "json"] = "console"
    """Log lines for people, or one JSON object a line."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""


def read_settings(**options: object) -> Settings:
    """Read the settings from the environment; options that are not None take precedence.

    Raises
    ------
    ConfigurationError
        Naming the first setting that is wrong, what it was and what is accepted.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).lower().removeprefix(_PREFIX.lower())
        message = first["msg"][0].lower() + first["msg"][1:]
        raise ConfigurationError(
            f"The setting {_PREFIX}{name.upper()} is {first['input']!r}: {message}."
        ) from None
