"""The repository as the settings ask for it, which begins to be loaded."""

import structlog

from service.engine import nvidia, select
from service.repository.discovery import default_model, discover
from service.repository.loading import Loader
from service.repository.registry import Repository
from service.repository.trials import Trials
from service.settings import Settings

log = structlog.get_logger()


async def open_repository(
    settings: Settings, trials: Trials | None = None, unloaded: frozenset[str] = frozenset()
) -> Repository:
    """Begin to load every version in the settings' repository.

    A version that is not what its card says is listed as failed and hinders no other.

    Parameters
    ----------
    trials
        What tries versions; by default processes that are started here.
    unloaded
        Models that are not loaded before somebody asks for them.

    Raises
    ------
    ConfigurationError
        If there is no such folder, no model in it, or no default model of the name that is set;
        or if signatures are asked for and cannot be verified.
    DeviceUnavailableError
        If the settings' device does not start.
    """
    trials = trials or Trials(settings)
    try:
        trials.prepare()
        return _open_repository(settings, trials, unloaded)
    except BaseException:
        trials.close()
        raise


def _open_repository(settings: Settings, trials: Trials, unloaded: frozenset[str]) -> Repository:
    root = settings.repository
    found = discover(root)
    default = default_model(found, settings)
    candidates = select(settings.device, settings.gpu)
    if candidates.note is not None:
        # Nothing is amiss on a machine without a card.
        say = log.warning if nvidia.has_card() else log.info
        say("device", note=candidates.note)
    repository = Repository(root, default, Loader(settings, candidates, trials))
    repository.start(found, settings.load_seconds, unloaded)
    return repository
