"""The ledger of audits: every report that the service made, by its digest, and when."""

from service.ledger.chain import Page
from service.ledger.check import Check, check_ledger
from service.ledger.entry import Entry
from service.ledger.ledger import Ledger, open_ledger
from service.ledger.store import LedgerError, TamperedError, UntrustedError

__all__ = [
    "Check",
    "Entry",
    "Ledger",
    "LedgerError",
    "Page",
    "TamperedError",
    "UntrustedError",
    "check_ledger",
    "open_ledger",
]
