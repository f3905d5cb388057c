"""The ledger of audits: every report that the service made, by its digest, and when."""

from service.ledger.chain import Entry, Page
from service.ledger.ledger import Ledger, open_ledger
from service.ledger.store import LedgerError, TamperedError

__all__ = ["Entry", "Ledger", "LedgerError", "Page", "TamperedError", "open_ledger"]
