"""The settings of a command that is no service, and where its log goes."""

from pathlib import Path

from service.environment import read_settings
from service.metrics.logs import configure_logs
from service.settings import Settings

_LEVEL = "warning"


def settings_of_a_command(repository: Path | None, device: str | None = None) -> Settings:
    """Read the settings as `read_settings` does, and send warnings to standard error.

    So every command's options precede the environment: ORBITSERVE_REPOSITORY, _DEFAULT_MODEL,
    _DEVICE and whatever else the service is configured by.

    What a command prints on standard output is its result, and may be read by another program.
    """
    settings = read_settings(repository=repository, device=device)
    configure_logs(settings.log_format, _LEVEL)
    return settings
