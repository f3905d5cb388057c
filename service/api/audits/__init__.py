"""Audits over HTTP: ask for one, watch it, fetch its report, list those of the ledger."""

from service.api.audits.ask import audit_routes
from service.api.audits.comparison import comparison_routes
from service.api.audits.history import history_routes
from service.api.audits.jobs import job_routes
from service.api.audits.ledger import ledger_routes

__all__ = ["audit_routes", "comparison_routes", "history_routes", "job_routes", "ledger_routes"]
