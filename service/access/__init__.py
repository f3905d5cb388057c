"""Who may call what: API keys with names and scopes."""

from service.access.keys import ApiKeys, Key
from service.access.middleware import HEADER, ApiKeyMiddleware
from service.access.rules import PROBES, Need, need

__all__ = ["HEADER", "PROBES", "ApiKeyMiddleware", "ApiKeys", "Key", "Need", "need"]
