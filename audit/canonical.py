"""One way to write a report as bytes, so that equal reports have equal digests."""

import hashlib
import json

from audit.report import Report
from audit.values import Sha256


def canonical_json(report: Report) -> bytes:
    """Write a report as JSON: UTF-8, sorted keys, no white space, floats as Python writes them.

    Nothing in a report depends on time, so equal audits give equal bytes.
    """
    document = report.model_dump(mode="json")
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def report_digest(report: Report) -> Sha256:
    """Return the SHA-256 of a report's canonical JSON: its address in a ledger."""
    return hashlib.sha256(canonical_json(report)).hexdigest()
