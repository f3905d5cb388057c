"""Who may call what: API keys with names and scopes."""

from service.auth.check import HEADER, Need, authorise, is_known
from service.auth.keys import ApiKeys, Key

__all__ = ["HEADER", "ApiKeys", "Key", "Need", "authorise", "is_known"]
