"""Who may call what: API keys with names and scopes."""

from service.access.check import HEADER, authorise
from service.access.keys import ApiKeys, Key
from service.access.rules import PROBES, Need, need

__all__ = ["HEADER", "PROBES", "ApiKeys", "Key", "Need", "authorise", "need"]
