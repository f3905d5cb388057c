"""What a signed statement says, held against a report and a model's file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from artifact.json_document import read_json
from audit.canonical import canonical, document_digest, sha256, split
from audit.envelope import Envelope
from audit.render.dsse import PAYLOAD_TYPE
from audit.render.in_toto import (
    CIRCUMSTANCES,
    EXECUTION,
    PREDICATE_TYPE,
    REPORT,
    RESULTS,
    STATEMENT_TYPE,
)
from imaging import RefusedError


class AttestationError(RefusedError):
    """What is signed is not about what it is held against; the message is one sentence."""


@dataclass(frozen=True)
class Attestation:
    """What a statement says.

    Attributes
    ----------
    model, model_sha256
        `name/version/model.onnx` and the digest of that file.
    result
        PASSED, FAILED or WARNED.
    report_sha256
        The digest of the report.
    circumstances_sha256
        That of its circumstances; None in statements that do not say it.
    ran
        Whether it is known what ran the model's file. Where it is not, as of a service that was
        asked from outside, the file's digest is what somebody said.
    """

    model: str
    model_sha256: str
    result: str
    report_sha256: str
    circumstances_sha256: str | None
    ran: bool = True

    @classmethod
    def read(cls, envelope: Envelope) -> Self:
        """Read the statement of an envelope whose signature was verified.

        Raises
        ------
        AttestationError
            If it holds another kind of statement.
        """
        if envelope.payload_type != PAYLOAD_TYPE:
            raise AttestationError(
                f"The payload is of the type {envelope.payload_type!r}; {PAYLOAD_TYPE} is accepted."
            )
        try:
            statement = read_json(envelope.payload)
            kinds = statement["_type"], statement["predicateType"]
            (subject,) = statement["subject"]
            predicate = statement["predicate"]
            # Behind it stands the audit set, whose name may be any.
            report = next(e for e in predicate["configuration"] if e.get("name") == REPORT)
            told = report.get("annotations", {})
            said = cls(
                subject["name"],
                subject["digest"]["sha256"],
                predicate["result"],
                report["digest"]["sha256"],
                told.get(CIRCUMSTANCES),
                told.get(EXECUTION, {}) is not None,
            )
        except (StopIteration, KeyError, TypeError, ValueError, AttributeError) as error:
            raise AttestationError("The payload is no statement about an audit.") from error
        if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise AttestationError(
                f"The statement is {kinds[1]!r} in {kinds[0]!r}; {PREDICATE_TYPE} is accepted."
            )
        return said

    def check_report(self, report: Mapping[str, Any]) -> None:
        """Hold it against a report, as JSON has it; raise AttestationError if it is of another."""
        try:
            digest, asked = document_digest(report), sha256(canonical(split(report)[1]))
        except (TypeError, ValueError, RecursionError) as error:
            raise AttestationError("The report cannot be digested.") from error
        if digest != self.report_sha256:
            raise AttestationError(
                f"The report has the digest {digest}, and {self.report_sha256} was signed."
            )
        if self.circumstances_sha256 not in (None, asked):
            raise AttestationError(
                "The report's evidence was signed, but its replay, the source or the files of its "
                "images are not those that were."
            )
        verdict, model = report.get("verdict"), report.get("model")
        if self.result not in [told for said, told in RESULTS.items() if said == verdict]:
            raise AttestationError(f"The report says {verdict}, and {self.result} was signed.")
        if not isinstance(model, Mapping) or model.get("sha256") != self.model_sha256:
            raise AttestationError("The report and the statement are about two models.")

    def check_model(self, digest: str) -> None:
        """Hold it against the digest of a model's file; raise AttestationError."""
        if digest != self.model_sha256:
            raise AttestationError(
                f"The model's file has the digest {digest}, and {self.model_sha256} was audited."
            )
