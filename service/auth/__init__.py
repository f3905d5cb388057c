"""Who may call what: API keys with names and scopes."""

from service.auth.check import HEADER, Need, check_scope, identify, is_known
from service.auth.keys import ApiKeys, Key

__all__ = ["HEADER", "ApiKeys", "Key", "Need", "check_scope", "identify", "is_known"]
