"""A report as a signed in-toto statement: the format in-toto, in an envelope of DSSE."""

from typing import Final

from audit.envelope import Envelope, Signer
from audit.render.in_toto import render_in_toto
from audit.report import Report

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


def render_dsse(report: Report, signer: Signer) -> bytes:
    """Sign the statement of a report; one line of JSON."""
    return Envelope.sealed(render_in_toto(report), PAYLOAD_TYPE, signer).to_bytes()
