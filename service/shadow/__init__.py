"""Shadow audits: some of the images that are served are rotated and classified again, unnoticed."""

from service.shadow.factory import ShadowAudits, open_shadow
from service.shadow.shadow import Shadow
from service.shadow.tally import Tally

__all__ = ["Shadow", "ShadowAudits", "Tally", "open_shadow"]
