"""One way to write a report as bytes, so that equal evidence has equal digests.

A report is evidence (what was audited, on which images, what was found) and circumstances: how it
was asked for and where the images lay. Only evidence is digested, so that the command and the
service, asked the same, give equal digests. Images are evidence by their own digests.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from artifact.json_document import Document
from artifact.values import Sha256
from audit.older_reports import downgraded
from audit.report import Report

SCHEMA_VERSION: Final[int] = Report.model_fields["schema_version"].default

_FIRST_SPLIT: Final = 5
"""Reports of older schemas are evidence as a whole."""

CIRCUMSTANCES: Final = (("replay",), ("data", "source"), ("data", "files"))


def canonical_json(report: Report) -> bytes:
    """Write the evidence of a report as JSON: see `canonical`."""
    return canonical(split(report_document(report))[0])


def report_digest(report: Report) -> Sha256:
    """Return the SHA-256 of a report's canonical JSON: its address in a ledger."""
    return sha256(canonical_json(report))


def document_digest(document: Mapping[str, Any]) -> Sha256:
    """Return the digest of a report that was read as JSON, also one of another schema."""
    return sha256(canonical(split(document)[0]))


def circumstances_json(report: Report) -> bytes:
    """Write what is not digested: see `canonical`."""
    return canonical(split(report_document(report))[1])


def canonical(document: Mapping[str, Any]) -> bytes:
    """Write JSON: UTF-8, sorted keys, no white space, floats as Python writes them.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256(content: bytes) -> Sha256:
    """Return the digest in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def split(document: Mapping[str, Any]) -> tuple[Document, Document]:
    """Return the evidence of a report, as JSON has it, and its circumstances."""
    version = document.get("schema_version")
    evidence, circumstances = _copied(document), Document()
    if not isinstance(version, int) or version >= _FIRST_SPLIT:
        for path in CIRCUMSTANCES:
            _move(path, evidence, circumstances)
    return evidence, circumstances


def joined(evidence: Mapping[str, Any], circumstances: Mapping[str, Any]) -> Document:
    """Return the report that `split` made two of; what is no circumstance is left out.

    Raises
    ------
    TypeError
        If the evidence has no place for them.
    """
    whole, asked = _copied(evidence), _copied(circumstances)
    for path in CIRCUMSTANCES:
        _move(path, asked, whole)
    return whole


def report_document(report: Report) -> Document:
    """Return a report as JSON has it, with the names of its own schema.

    A report of an older schema keeps its digest: fields that were added since are left out.
    """
    older = report.schema_version < SCHEMA_VERSION
    document: Document = report.model_dump(mode="json", exclude_unset=older)
    return downgraded(document)


def _copied(document: Mapping[str, Any]) -> Document:
    return {k: dict(v) if isinstance(v, dict) else v for k, v in document.items()}


def _move(path: tuple[str, ...], source: Document, target: Document) -> None:
    *outer, name = path
    for step in outer:
        inner = source.get(step)
        if not isinstance(inner, dict):
            return
        source, target = inner, target.setdefault(step, {})
    if name in source:
        target[name] = source.pop(name)
