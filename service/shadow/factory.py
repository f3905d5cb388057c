"""What the settings say about shadow audits, for all versions of one process."""

import os
import secrets
from dataclasses import dataclass

import structlog

from artifact.card import Card
from imaging.writing import remove_left_aside
from service.engine import Session
from service.settings import ConfigurationError, Settings
from service.shadow.recorder import Recorder
from service.shadow.shadow import Shadow, elements

log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class ShadowAudits:
    """Gives each version its shadow; what they find goes the same way."""

    share: float
    recorder: Recorder

    def of(self, card: Card, session: Session) -> Shadow | None:
        """Return the shadow of a version, None if its audits try no symmetry."""
        if not elements(card):
            log.info("no shadow audits of a model without a group", model=card.name)
            return None
        return Shadow(card, self.share, session, self.recorder)


def open_shadow(settings: Settings) -> ShadowAudits | None:
    """Prepare shadow audits; None if the settings ask for none.

    Raises
    ------
    ConfigurationError
        If the folder where images are to be kept cannot be made or written to.
    """
    if not settings.shadow_share:
        return None
    folder = settings.shadow_keep
    if folder is not None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"ORBITSERVE_SHADOW_KEEP: the folder {folder} cannot be made ({error.strerror})."
            ) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigurationError(f"ORBITSERVE_SHADOW_KEEP: {folder} cannot be written to.")
        remove_left_aside(folder)
    salt = settings.shadow_salt
    key = secrets.token_bytes(32) if salt is None else salt.get_secret_value().encode()
    return ShadowAudits(settings.shadow_share, Recorder(key, folder))
